"""Which sets of a challenge a supplied testset serves, found out without opening an image."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_facechallenge.analyses.accuracy.request import Point, Protocol, SetRequest, TestsetSpec
from pytest_facechallenge.core.set_names import find_sets, folded, sets_of_track
from pytest_facechallenge.testsets.manifest import MASK_NAMES, column_values, read_header
from pytest_facechallenge.testsets.model import MASKED_COLUMN, SET_COLUMN, Form
from pytest_facechallenge.testsets.reader import recognise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_facechallenge.core.rulebook import Rulebook, SetTable

#: Operating points of IJB-B/C as they are usually reported.
IJB_FARS = ("1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1")
#: For LFW-like lists of some thousand pairs, beside the fold accuracy: what 3,000 impostor pairs can show.
PAIRS_FARS = ("1e-3", "1e-2")

_PAIR_FORMS: frozenset[Form] = frozenset({"InsightFace bin", "LFW pairs", "IJB"})


def plan_sets(
    book: Rulebook, track: str, spec: TestsetSpec, *, flip: Iterable[str] = (), raw: bool = False
) -> tuple[SetRequest, ...]:
    """Say which sets ``spec`` serves on ``track``.

    In this order: the manifest's set column; the name given on the command line; what the testset's own form says (a
    mask pair or a mask column is the challenge's only cross set, a race column the multi-racial sets, an LFR19 list the
    track's own set). A set with parts (``member_of``, ``group``) brings those parts that the columns name. What is none
    of the challenge's sets is measured under its own name at the challenge's operating points.

    Parameters
    ----------
    flip
        Sets whose protocol adds the mirror image's embedding; LFR19's image lists always do.
    raw
        Whether the challenge feeds pixels of 0..255 (LFR19's scripts do) and not what its server makes of them.

    Raises
    ------
    TestsetError
        The path holds no testset of a known kind.
    """
    form, target = recognise(Path(spec.path))
    stat = target.stat()
    columns = _columns(form, target, _group_columns(book), stat.st_mtime_ns, stat.st_size)
    own = sets_of_track(book, track)
    roots: list[tuple[str, dict[str, tuple[str, ...]]]]
    strangers: list[tuple[str, dict[str, tuple[str, ...]]]] = []
    cells = sorted(piece.strip() for value in columns.get(SET_COLUMN, ()) for piece in value.split(";"))
    declared = {folded(cell): cell for cell in cells if folded(cell)}
    if declared:
        roots, strangers = _declared_roots(book, own, declared)
    elif named := find_sets(book, spec.name or (spec.label if form in _PAIR_FORMS else "")):
        roots = [(name, {}) for name in named if name in own]
    elif inferred := _inferred(own, form, columns):
        roots = [(inferred, {})]
    else:
        roots, strangers = [], [(spec.label, {})]
    flips = set(flip)
    wanted = [part for name, select in roots for part in _with_parts(own, name, select, columns)]
    found: dict[str, SetRequest] = {}
    for name, select in wanted:
        table = own[name]
        found.setdefault(
            name,
            SetRequest(
                name=name,
                official=True,
                protocol=table.protocol,
                points=(Point(table.far, table.comparison),),
                select=select,
                flip=name in flips or form == "LFR19 images",
            ),
        )
    for name, select in strangers:
        found.setdefault(name, _stranger(own, name, select, form, columns))
    return tuple(msgspec.structs.replace(each, raw=raw) for each in found.values())


def _group_columns(book: Rulebook) -> tuple[str, ...]:
    return tuple(sorted({SET_COLUMN, *MASK_NAMES, *(column for table in book.sets.values() for column in table.group)}))


@lru_cache(maxsize=64)
def _columns(
    form: Form, target: Path, wanted: tuple[str, ...], _changed: int, _bytes: int
) -> dict[str, frozenset[str]]:
    """Return the values of the wanted columns; the last two parameters make a changed file another question."""
    if form == "mask pair":
        return {MASKED_COLUMN: frozenset()}
    if form != "manifest":
        return {}
    header = read_header(target)
    values = column_values(target, tuple(column for column in wanted if column in header))
    if any(name in header for name in MASK_NAMES):
        values[MASKED_COLUMN] = frozenset()
    return values


def _declared_roots(
    book: Rulebook, own: dict[str, SetTable], declared: dict[str, str]
) -> tuple[list[tuple[str, dict[str, tuple[str, ...]]]], list[tuple[str, dict[str, tuple[str, ...]]]]]:
    """Return the challenge's sets and the strangers among the names in the set column, each with its selection."""
    roots: dict[str, tuple[str, ...]] = {}
    strangers: list[tuple[str, dict[str, tuple[str, ...]]]] = []
    for name, shown in declared.items():
        keys = find_sets(book, name)
        if not keys:
            strangers.append((shown, {SET_COLUMN: (name,)}))
        for key in keys:
            if key in own:
                roots[key] = (*roots.get(key, ()), name)
    for key in list(roots):
        parent = own[key].member_of
        if parent and parent in own:  # the parts make up the whole
            roots[parent] = (*roots.get(parent, ()), *roots[key])
    return [(key, {SET_COLUMN: tuple(sorted(set(names)))}) for key, names in roots.items()], strangers


def _inferred(own: dict[str, SetTable], form: Form, columns: dict[str, frozenset[str]]) -> str:
    if form in ("LFR19 images", "LFR19 videos"):
        return _lfr19_set(own, form)
    if MASKED_COLUMN in columns:
        cross = [name for name, table in own.items() if table.protocol == "cross"]
        return cross[0] if len(cross) == 1 else ""
    if form not in _PAIR_FORMS:
        for table in own.values():
            if table.member_of in own and _matching(table, columns):
                return table.member_of
    return ""


def _lfr19_set(own: dict[str, SetTable], form: Form) -> str:
    """Return the track's set for a list of that form: the one called after images or videos, else its only one."""
    words = ("image", "video") if form == "LFR19 images" else ("video", "image")
    called = [[name for name, table in own.items() if word in folded(name + table.title)] for word in words]
    if called[0]:
        return called[0][0] if len(called[0]) == 1 else ""
    return next(iter(own)) if len(own) == 1 and not called[1] else ""


def _matching(table: SetTable, columns: dict[str, frozenset[str]]) -> dict[str, tuple[str, ...]]:
    """Return the selection of a part by its group columns; empty when the columns do not name it.

    Only names that the testset uses are in it: so rulebooks that call a group by more or fewer names choose the same
    images by the same selection, and these are scored once.
    """
    select = {}
    for column, value in table.group.items():
        accepted = {folded(value), *map(folded, table.aliases)} & {folded(found) for found in columns.get(column, ())}
        if not accepted:
            return {}
        select[column] = tuple(sorted(accepted))
    return select


def _with_parts(
    own: dict[str, SetTable], name: str, select: dict[str, tuple[str, ...]], columns: dict[str, frozenset[str]]
) -> list[tuple[str, dict[str, tuple[str, ...]]]]:
    parts = [(name, select)]
    for key, table in own.items():
        if table.member_of == name and (group := _matching(table, columns)):
            parts.append((key, {**select, **group}))
    return parts


def _stranger(
    own: dict[str, SetTable],
    name: str,
    select: dict[str, tuple[str, ...]],
    form: Form,
    columns: dict[str, frozenset[str]],
) -> SetRequest:
    protocol: Protocol = "pairs" if form in _PAIR_FORMS else "cross" if MASKED_COLUMN in columns else "all-to-all"
    if protocol == "pairs":
        fars = IJB_FARS if form == "IJB" else PAIRS_FARS
        points = tuple(Point(far, "<=") for far in fars)
    else:
        same = [table for table in own.values() if table.protocol == protocol] or list(own.values())
        points = tuple(dict.fromkeys(Point(table.far, table.comparison) for table in same))
    return SetRequest(
        name=name,
        official=False,
        protocol=protocol,
        points=points,
        select=select,
        flip=form == "LFR19 images",
    )
