"""The page on neighbours shows what was measured of the populations that the evaluation draws: good enough."""

from __future__ import annotations

from pathlib import Path

from evaluation.significance import BEGIN, END, PAGE, POPULATIONS


def shown() -> dict[str, list[str]]:
    """Return the cells of the page's table by population."""
    text = Path(PAGE).read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row for row in rows[2:]}


def percent(cell: str) -> float:
    return float(cell.removesuffix(" %"))


def test_equal_networks_are_seldom_called_different_and_others_often() -> None:
    rows = shown()
    assert list(rows) == [each.about for each in POPULATIONS], (
        "write it anew: python -m evaluation.significance --write"
    )
    for each in POPULATIONS:
        row = rows[each.about]
        assert int(row[1]) == each.identities
        called_different = percent(row[4])
        if each.noise == each.other:
            assert called_different < 7.5, each.about
        else:
            assert called_different > 75, each.about
        assert percent(row[6]) > 92.5, each.about
        assert percent(row[7]) > 92, each.about
    assert percent(rows["few people, three false accepts"][5]) > 15, "thresholds that are held fixed"
