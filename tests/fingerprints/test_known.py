"""The file of known networks: what is written is read, what is wrong is said, and what ships can be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_facechallenge.checks import published_networks
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.rulebook_file import KNOWN_NETWORKS, builtin_folder, builtin_rulebooks
from pytest_facechallenge.engine.extensions import load_checks
from pytest_facechallenge.engine.judge import judge_rule
from pytest_facechallenge.fingerprints import known
from pytest_facechallenge.fingerprints.compare import Subject
from pytest_facechallenge.fingerprints.editing import add
from pytest_facechallenge.fingerprints.known import KnownNetwork, KnownNetworksError, builtin_networks, matches, read
from pytest_facechallenge.fingerprints.relation import Relation
from tests.support.fingerprints import made_up
from tests.support.gathering import rule

load_checks()


def network(seed: int, name: str = 'odd "name" \\ \t') -> KnownNetwork:
    """Return a network that never was."""
    return KnownNetwork(name, "made up", "this test", "0" * 64, made_up(seed))


def test_what_is_added_is_read(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    add(path, network(1))
    add(path, network(2, "two"))
    assert read(path) == (network(1), network(2, "two"))
    with pytest.raises(KnownNetworksError, match="has a network named 'two' already"):
        add(path, network(3, "two"))
    assert len(read(path)) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["known.toml"]


def test_what_stands_in_a_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    text = (builtin_folder() / KNOWN_NETWORKS).read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    add(path, network(1))
    assert path.read_text(encoding="utf-8").startswith(text.rstrip())
    assert read(path) == (*builtin_networks(), network(1))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("facechallenge-known-networks/1", "facechallenge-known-networks/9", "schema must be"),
        ('products = """\n', 'products = """\n!', "products of 'two' must be base64"),
        ('about = "made up"', "about = 3", "about must be a text"),
        ('about = "made up"\n', "", "about is missing"),
        ("layers = [", "layers = [[1]]\nmore = [", "must be"),
        ("[[networks]]", "[[networks", "cannot be used"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    add(path, network(1, "two"))
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(KnownNetworksError, match=why) as raised:
        read(path)
    assert str(path) in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KnownNetworksError, match="No such file"):
        read(tmp_path / "none.toml")


def test_the_shipped_networks_are_told_apart() -> None:
    networks = builtin_networks()
    for each in networks:
        assert each.name
        assert each.source
        assert [match.network.name for match in matches(each.subject, networks)] == [each.name]
    assert all(path.name != KNOWN_NETWORKS for path in builtin_rulebooks())


def test_a_match_names_the_network_and_how() -> None:
    mine = made_up(1)
    (match,) = matches(mine, [network(2, "two"), network(1, "one")])
    assert match.network.name == "one"
    assert match.pair.relation is Relation.COPY
    assert match.how == "the same weights in all 6 layers; likeness 1.00"
    assert matches(mine, []) == []
    assert matches(Subject(None, None), [network(1)]) == []


@pytest.mark.parametrize(
    ("external", "status"), [("false", Status.PASSED), ("true", Status.FAILED), ("", Status.UNDECIDED)]
)
def test_the_rule_shows_it_as_evidence_and_decides_nothing_by_it(
    external: str, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "builtin_networks", lambda: (network(1, "one"),))
    statements = {"training.external_data": external, "training.pretrained_models": external}
    declared = DeclarationFacts(path="declaration.toml", looked_for=(), statements=statements)
    mine = made_up(1)
    assert mine.weights is not None
    assert mine.behaviour is not None
    outcome = judge_rule(Facts.of(declared, mine.weights, mine.behaviour), rule("no-external-data"))
    plain = judge_rule(Facts.of(declared), rule("no-external-data"))
    assert outcome.status is plain.status is status
    assert outcome.message == plain.message
    (added,) = outcome.evidence[len(plain.evidence) :]
    assert added.where == "the published network one"
    assert "people have to look" in added.what


def test_without_fingerprints_nothing_is_said() -> None:
    assert published_networks.known_networks(Facts()) == ()
