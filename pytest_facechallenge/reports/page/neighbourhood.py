"""Where a finding lies: the nodes that it names, and the operators one and two steps around them."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.outline import INPUT, OUTPUT, OutlineFacts, OutlineNode
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.engine.report import RuleResult, TrackReport
from pytest_facechallenge.reports.page.network import Drawing, draw

#: Steps that are drawn around a named node, in both directions.
STEPS_AROUND = 2
#: The most nodes in one drawing, the most drawings of one finding, and the most texts of it that are searched.
MOST_NODES, MOST_DRAWINGS, MOST_TEXTS = 20, 2, 60
#: The most drawings of a track: each has up to 7 kB, and a page of fifty submissions stays readable below 10 MB.
MOST_OF_A_TRACK = 6
#: A name as Python quotes it: how every check writes the name of a node.
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
#: A name without quotes is taken for a node's only where it looks like no word of a sentence.
_DISTINCT = re.compile(r"[\d/_.:]")


class Outline:
    """The network as the page asks for it: by name, and around a node."""

    def __init__(self, facts: OutlineFacts) -> None:
        # A report is a stranger's as well: what points nowhere, or forward, is no line.
        self.nodes = tuple(
            OutlineNode(node.name, node.op, tuple(each for each in node.sources if 0 <= each < place))
            for place, node in enumerate(facts.nodes)
        )
        self.readers: list[list[int]] = [[] for _ in facts.nodes]
        self.places: dict[str, int] = {}
        for place, node in enumerate(self.nodes):
            # Of an output and the node that makes it, of one name, the node is meant.
            if node.name not in self.places or self.nodes[self.places[node.name]].op == INPUT:
                self.places[node.name] = place
            for source in node.sources:
                self.readers[source].append(place)

    def around(self, place: int) -> list[int]:
        """Return the positions at most `STEPS_AROUND` steps away, the nearest first, at most `MOST_NODES`."""
        found, edge = [place], [place]
        for _ in range(STEPS_AROUND):
            near = [next_to for each in edge for next_to in (*self.nodes[each].sources, *self.readers[each])]
            edge = [each for each in dict.fromkeys(near) if each not in found]
            found += edge
        return found[:MOST_NODES]


def drawings_of_track(outline: Outline | None, track: TrackReport) -> dict[str, tuple[Drawing, ...]]:
    """Return the drawings of a track's findings, broken rules first, by the rule's name; none without an outline."""
    if outline is None:
        return {}
    findings = sorted(filter(_is_finding, track.rules), key=lambda result: result.status is not Status.FAILED)
    found: dict[str, tuple[Drawing, ...]] = {}
    room = MOST_OF_A_TRACK
    for result in findings:
        drawn = drawings(outline, result)[:room] if room else ()
        room -= len(drawn)
        if drawn:
            found[result.name] = drawn
    return found


def _is_finding(result: RuleResult) -> bool:
    return {result.status, result.uncounted} & {Status.FAILED, Status.UNDECIDED} != set()


def drawings(outline: Outline, result: RuleResult) -> tuple[Drawing, ...]:
    """Return a drawing for each part of the network in which the finding names nodes, at most `MOST_DRAWINGS`."""
    places = named(outline, result)
    drawn: set[int] = set()
    found: list[Drawing] = []
    for place in places:
        if place in drawn or len(found) == MOST_DRAWINGS:
            continue
        around = outline.around(place)
        drawn |= set(around)
        found.append(draw(outline.nodes, sorted(around), set(places)))
    return tuple(found)


def named(outline: Outline, result: RuleResult) -> list[int]:
    """Return the positions of the nodes that a finding names, in its order; not the ends of the network alone."""
    texts = [text for seen in result.evidence for text in (seen.where, seen.what)]
    texts += [result.message, *result.notes]
    found = dict.fromkeys(place for text in texts[:MOST_TEXTS] for place in _in_text(outline, text))
    inner = [place for place in found if outline.nodes[place].op not in (INPUT, OUTPUT)]
    return inner or list(found)


def _in_text(outline: Outline, text: str) -> Iterable[int]:
    """Return the positions of nodes whose names stand in a text."""
    for quoted in _QUOTED.findall(text):
        place = outline.places.get(_unquoted(quoted))
        if place is not None:
            yield place
    for word in re.split(r"[\s,;()]+", _QUOTED.sub(" ", text)):
        name = word.rstrip(".:")
        if _DISTINCT.search(name) and name in outline.places:
            yield outline.places[name]


def _unquoted(text: str) -> str:
    try:
        return str(literal_eval(text))
    except (ValueError, SyntaxError):
        return text[1:-1]


def network_of(facts: OutlineFacts | None) -> Outline | None:
    """Return the outline that drawings are made from; None where there is none or the network was too large."""
    return Outline(facts) if facts is not None and facts.nodes else None


class Networks(NamedTuple):
    """Where a submission's findings lie: for each track the drawings by the rule's name, and why some are not there."""

    drawn: tuple[dict[str, tuple[Drawing, ...]], ...]
    undrawn: str


def networks_of(facts: Facts, tracks: Sequence[TrackReport]) -> Networks:
    """Return the drawings of every track's findings."""
    found = facts.get(OutlineFacts)
    outline = network_of(found)
    drawn = tuple(drawings_of_track(outline, track) for track in tracks)
    return Networks(drawn, _undrawn(found, tracks, drawn))


def _undrawn(
    facts: OutlineFacts | None, tracks: Sequence[TrackReport], drawn: Sequence[dict[str, tuple[Drawing, ...]]]
) -> str:
    """Return why something is not drawn although there are findings, or ""."""
    if any(sum(map(len, each.values())) == MOST_OF_A_TRACK for each in drawn):
        return f"The network is drawn at no more than {MOST_OF_A_TRACK} places for each track, broken rules first."
    findings = any(_is_finding(result) for track in tracks for result in track.rules)
    if facts is None or not facts.left_out or not findings:
        return ""
    return f"The network has {facts.left_out:,} nodes, too many for its outline to be in a report: nothing is drawn."
