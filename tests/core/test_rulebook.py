"""The built-in rulebooks are complete and consistent; a wrong one says what is wrong and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_facechallenge.core.rulebook import RulebookError
from pytest_facechallenge.core.rulebook_file import builtin_folder, load
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks, validate

RULE_IDS = {
    "package", "onnx-valid", "server-runtime", "input", "batch", "output", "embedding-dim", "cosine-similarity",
    "deterministic", "model-size", "no-float16", "helper-verdict", "preprocessing", "rgb-order", "training-set",
    "mask-augmentation", "no-external-data", "reproducible-solution", "submissions-per-day", "organization",
    "submission-window", "no-implicit-batch", "no-realignment", "flops-budget", "latency",
    "accuracy", "ranking-score",
}  # fmt: skip


def test_builtin_rulebooks_are_valid() -> None:
    books = load_rulebooks()
    assert set(books) == {"mfr21", "lfr19", "mfr-ongoing"}
    validate(books, load_checks())


def test_every_rule_has_its_place() -> None:
    books = load_rulebooks()
    assert RULE_IDS <= set(books["mfr21"].rules)
    assert set(books["lfr19"].rules) >= RULE_IDS
    assert set(books["mfr-ongoing"].rules) <= RULE_IDS | {"testset-images", "flops-crosscheck"}


def test_tracks() -> None:
    books = load_rulebooks()
    assert list(books["mfr21"].tracks) == ["A", "B"]
    assert list(books["lfr19"].tracks) == ["deepglint-light", "deepglint-large", "iqiyi-light", "iqiyi-large"]
    assert list(books["mfr-ongoing"].tracks) == ["academic", "unconstrained"]


@pytest.mark.parametrize(
    ("track", "rule", "limit", "comparison"),
    [
        ("mfr21/A", "embedding-dim", 512, "<="),
        ("mfr21/B", "embedding-dim", 1024, "<="),
        ("mfr21/A", "latency", 10, "<="),
        ("mfr21/B", "latency", 20, "<="),
        ("mfr21/A", "model-size", 2**30, "<="),
        ("mfr21/A", "submissions-per-day", 3, "<="),
        ("lfr19/iqiyi-light", "flops-budget", 1024**3, "<="),
        ("lfr19/deepglint-large", "flops-budget", 30 * 1024**3, "<="),
        ("lfr19/iqiyi-light", "model-size", 20 * 1024**2, "<"),
        ("lfr19/iqiyi-large", "embedding-dim", 512, "<="),
        ("lfr19/iqiyi-light", "feature-rows", 203_848, "=="),
        ("mfr21/A", "no-float16", 4, ">="),
    ],
)
def test_limits(track: str, rule: str, limit: int, comparison: str) -> None:
    book_id, _, name = track.partition("/")
    found = next(each for each in load_rulebooks()[book_id].rules_of(name) if each.id == rule)
    assert (found.limit, found.comparison) == (limit, comparison)
    assert found.within(limit) == (comparison != "<")
    assert found.within(limit + 1) == (comparison == ">=")
    assert found.within(limit - 1) == (comparison in ("<=", "<"))


def test_pair_counts_obey_the_relation_that_the_page_shows() -> None:
    # Negatives = N^2 - N - positives holds exactly for every all-to-all set of the published table.
    for entry in load_rulebooks()["mfr21"].sets.values():
        if entry.protocol == "all-to-all":
            assert entry.images is not None
            assert entry.positive_pairs is not None
            assert entry.negative_pairs == entry.images**2 - entry.images - entry.positive_pairs


def test_groups_add_up_to_all() -> None:
    sets = load_rulebooks()["mfr21"].sets
    members = [entry for entry in sets.values() if entry.member_of == "mr-all"]
    assert len(members) == 4
    for key in ("identities", "images", "positive_pairs"):
        assert sum(getattr(entry, key) for entry in members) == getattr(sets["mr-all"], key)


def test_operating_points() -> None:
    books = load_rulebooks()
    points = {name: (entry.far, entry.comparison) for name, entry in books["mfr21"].sets.items()}
    assert points.pop("mask") == points.pop("children") == ("1e-4", "<")
    assert set(points.values()) == {("1e-6", "<")}
    assert books["lfr19"].sets["image"].far == "1e-8"
    assert books["lfr19"].sets["video"].far == "1e-4"


def test_baselines() -> None:
    rows = load_rulebooks()["mfr21"].baselines
    published = [row for row in rows if row.backbone and row.dataset != ""]
    assert sum(bool(row.tar) for row in rows) == 11
    assert next(row for row in published if row.name == "R50 Glint360K").tar["mr-all"] == 0.87077
    assert {row.name: row.tar for row in load_rulebooks()["lfr19"].baselines}["y2"] == {
        "image": 0.64691,
        "video": 0.47191,
    }


def test_ranking_weights() -> None:
    ranking = load_rulebooks()["mfr21"].ranking
    assert ranking is not None
    assert ranking.weights == {"mask": 0.25, "mr-all": 0.75}


def test_every_clause_of_the_thirteen_rules_and_the_guide_is_somewhere() -> None:
    book = load_rulebooks()["mfr21"]
    clauses = " ".join(rule.clause for rule in book.rules.values())
    numbers = {word.strip(",") for word in clauses.split()}
    assert {str(number) for number in range(1, 14)} <= numbers
    assert {"Guide", "News", "Timelines"} <= numbers


MINIMAL = """
schema = "facechallenge-rulebook/1"
id = "mine"
title = "mine"
version = "1"
date = "2026-01-01"
source = "me"
[tracks.x]
title = "x"
[rules.size]
clause = "1"
text = "small"
check = "model_size"
limit = 10
"""


WRONG_SET = """
[sets.s]
title = "s"
clause = ""
protocol = "all-to-all"
far = "2"
comparison = "<"
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("limit = 10", "limits = 10"), ["limits", "rules.size", "limit", "reading"]),
        (("limit = 10", "limit = { y = 10 }"), ["rules.size.limit", "no such track: y", "known: x"]),
        (('check = "model_size"', 'check = "model_sizes"'), ["rules.size.check", "model_sizes", "model_size"]),
        (('check = "model_size"', 'check = "model_size"\nparameters = { mb = 1 }'), ["rules.size.parameters", "mb"]),
        (("limit = 10", 'comparison = ">"'), ["comparison", ">"]),
        (('id = "mine"', ""), ["id"]),
        (('schema = "facechallenge-rulebook/1"', 'schema = "other"'), ["schema"]),
        (("[tracks.x]", "[tracks.x]\naccuracy = { faces = 0.5 }"), ["tracks.x.accuracy.faces", "no such set"]),
        (('id = "mine"', 'id = "mfr21"'), ["mfr21", "rename one"]),
        (('title = "mine"', "title = mine"), ["not valid TOML"]),
        (("[rules.size]", f"{WRONG_SET}[rules.size]"), ["sets.s.far", "1e-4"]),
        (
            ("[rules.size]", f'{WRONG_SET.rstrip()}\nmember_of = "all"\n[rules.size]'),
            ["sets.s.member_of", "no such set: all", "known: s"],
        ),
    ],
)  # fmt: skip
def test_wrong_rulebooks(tmp_path: Path, change: tuple[str, str], said: list[str]) -> None:
    path = tmp_path / "mine.toml"
    assert change[0] in MINIMAL
    path.write_text(MINIMAL.replace(*change, 1))
    with pytest.raises(RulebookError) as caught:
        validate(load_rulebooks((path,)), load_checks())
    for word in said:
        assert word in str(caught.value)


def test_minimal_rulebook_is_right(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)
    books = load_rulebooks((path,))
    validate(books, load_checks())
    assert load(path).id in books


def test_example_rulebook_is_right() -> None:
    book = load(builtin_folder().parent / "examples" / "custom-rulebook" / "campus" / "rulebook.toml")
    assert book.rules_of("phone")[3].limit == 256


def test_every_check_has_its_four_headings() -> None:
    for check in load_checks().values():
        assert all(check.sections[heading] for heading in ("What", "Why", "How it is measured", "How to fix"))
