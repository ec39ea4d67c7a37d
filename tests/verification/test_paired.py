"""Two networks on the same images: what is counted by identity, how sure a difference is, how often that is right."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from evaluation.significance import Population, measure
from pytest_facechallenge.core.identity_counts import IdentityCounts
from pytest_facechallenge.core.packed import pack, unpack
from pytest_facechallenge.verification import AllToAll, Cross, OperatingPoint, Settings, TarAtFar, verify
from pytest_facechallenge.verification import false_accepts as false_accepts_module
from pytest_facechallenge.verification.paired import (
    Part,
    Spread,
    UndecidableError,
    holm,
    paired_difference,
    score_spread,
)
from pytest_facechallenge.verification.rows import UnitRows

POINT = OperatingPoint(far="1e-2")
QUICK = Settings(hardest=0, resamples=40, workers=1)


def people(seed: int = 0, count: int = 40, noise: float = 0.5) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Embeddings of people with two to five images each, and whose they are: numbers with gaps, in no order."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(count) * 3 + 5, rng.integers(2, 6, count))
    rng.shuffle(numbers)
    faces = rng.standard_normal((3 * count + 5, 16))
    return (faces[numbers] + noise * rng.standard_normal((len(numbers), 16))).astype(np.float32), numbers


def counts_of(rows: npt.NDArray[np.float32], numbers: npt.NDArray[np.int64], protocol: AllToAll | Cross) -> TarAtFar:
    return verify(rows, numbers, [POINT], protocol=protocol, settings=QUICK).points[0]


def part(counts: IdentityCounts | None, weight: float = 1.0, testset: str = "t") -> Part:
    assert counts is not None
    return Part(weight=weight, testset=testset, counts=counts)


@pytest.mark.parametrize("cross", [False, True])
def test_what_each_identity_contributes_is_counted(cross: bool) -> None:
    rows, numbers = people()
    probe = np.arange(len(rows)) % 3 == 0
    point = counts_of(rows, numbers, Cross(probe=probe, gallery=~probe) if cross else AllToAll())
    counts = point.by_identity
    assert counts is not None
    assert point.threshold is not None
    every = np.arange(len(rows))
    scores = UnitRows(rows).scores(np.repeat(every, len(rows)), np.tile(every, len(rows))).reshape(len(rows), -1)
    pairs = np.outer(probe, ~probe) if cross else np.triu(np.ones(scores.shape, bool), 1)
    same = numbers[:, None] == numbers[None, :]
    who, of_whom = np.nonzero(pairs & ~same & (scores > point.threshold))
    known = sorted(set(numbers.tolist()))
    place = {number: at for at, number in enumerate(known)}
    expected: dict[int, int] = {}
    for one, other in zip(numbers[who].tolist(), numbers[of_whom].tolist(), strict=True):
        low, high = sorted((place[one], place[other]))
        expected[low * len(known) + high] = expected.get(low * len(known) + high, 0) + 1
    assert np.cumsum(unpack(counts.identities, 100)).tolist() == known
    for field, chosen in (
        ("genuine", pairs & same),
        ("accepted", pairs & same & (scores > point.threshold)),
    ):
        found = unpack(getattr(counts, field), 100)
        assert found.tolist() == [int(chosen[numbers == number].sum()) for number in known]
    impostor = [int((pairs & ~same)[numbers == n].sum() + (pairs & ~same)[:, numbers == n].sum()) for n in known]
    assert unpack(counts.impostor, 100).tolist() == impostor
    keys = np.cumsum(unpack(counts.false_accepts, 10_000)).tolist()
    assert dict(zip(keys, unpack(counts.false_accept_counts, 10_000).tolist(), strict=True)) == expected
    assert counts.all_false_accepts == point.false_accepts == sum(expected.values())
    assert counts.stricter_false_accepts == point.allowed_false_accepts // 2
    assert counts.share == 1.0


def test_of_many_false_accepts_the_same_pairs_of_identities_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, numbers = people(count=80)
    whole = counts_of(rows, numbers, AllToAll()).by_identity
    monkeypatch.setattr(false_accepts_module, "MOST_SAMPLED", 60)
    drawn = [
        verify(rows, numbers, [POINT], settings=Settings(hardest=0, resamples=40, workers=workers))
        .points[0]
        .by_identity
        for workers in (1, 3)
    ]
    assert drawn[0] == drawn[1], "the order in which threads find pairs shows"
    assert whole is not None
    assert drawn[0] is not None
    assert drawn[0].share == pytest.approx(60 / (whole.all_false_accepts + 1))
    every = dict(
        zip(np.cumsum(unpack(whole.false_accepts, 9999)), unpack(whole.false_accept_counts, 9999), strict=True)
    )
    some = dict(
        zip(np.cumsum(unpack(drawn[0].false_accepts, 9999)), unpack(drawn[0].false_accept_counts, 9999), strict=True)
    )
    assert 0 < len(some) < len(every)
    assert 30 < sum(some.values()) < 110
    assert all(every[key] == number for key, number in some.items())
    exact, rough = (score_spread([part(each)], 0.5).error for each in (whole, drawn[0]))
    assert rough == pytest.approx(exact, rel=0.35)


def test_embeddings_that_are_all_the_same_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(false_accepts_module, "MOST_SAMPLED", 100)
    sizes = []
    contents = false_accepts_module.AcceptSample.contents

    def watched(sample: false_accepts_module.AcceptSample, floor: float) -> false_accepts_module.SampledAccepts:
        sizes.append(sample._size)
        return contents(sample, floor)

    monkeypatch.setattr(false_accepts_module.AcceptSample, "contents", watched)
    rows = np.ones((600, 8), np.float32)
    point = counts_of(rows, np.arange(600) // 2, AllToAll())
    assert point.tar == 0
    assert max(sizes) < 70_000, "of 179,400 pairs that tie"
    with pytest.raises(UndecidableError, match="no false accept above it"):
        score_spread([part(point.by_identity)], 0.0)


def test_leaving_an_identity_out_is_foreseen_without_scoring_again() -> None:
    rows, numbers = people(3, count=60, noise=0.7)
    counts = counts_of(rows, numbers, AllToAll()).by_identity
    left_out = []
    for number in sorted(set(numbers.tolist())):
        kept = numbers != number
        left_out.append(counts_of(rows[kept], numbers[kept], AllToAll()).tar)
    exact = np.array(left_out, dtype=float)
    n = len(exact)
    jackknife = np.sqrt((n - 1) / n * ((exact - exact.mean()) ** 2).sum())
    found = score_spread([part(counts)], 0.5)
    assert found.error == pytest.approx(jackknife, rel=0.15)
    assert counts is not None
    still = msgspec.structs.replace(counts, stricter_accepted=int(unpack(counts.accepted, 99).sum()))
    assert score_spread([part(still)], 0.5).error < 0.9 * jackknife, "with the threshold held fixed it is too small"


def test_equal_networks_are_called_different_in_about_one_draw_of_twenty() -> None:
    found = measure(Population("equal", 60, 3, "1e-2", spread=0.6), 150)
    assert found.judged == 150
    assert found.error == pytest.approx(found.spread, rel=0.25)
    assert 0.005 <= found.rejected <= 0.085
    assert found.covered == 1 - found.rejected
    assert 0.9 <= found.score_covered <= 0.99
    few = measure(Population("few false accepts", 60, 3, "2e-4", spread=0.6), 60)
    assert few.rejected <= 0.1
    assert few.rejected_fixed > 0.1, "the threshold's own error is what makes the difference here"


def test_different_networks_are_told_apart_and_their_difference_is_held() -> None:
    found = measure(Population("a better one", 60, 3, "1e-2", other=0.8, spread=0.6), 60)
    assert found.truth > 0.1
    assert found.rejected >= 0.8
    assert found.covered >= 0.88


def counts(accepted: list[int], genuine: int = 3) -> IdentityCounts:
    """Counts of people with ``genuine`` pairs each; the false accepts are of two and do not depend on the TAR."""
    n = len(accepted)
    return IdentityCounts(
        identities=pack(np.ones(n, np.int64)),
        genuine=pack(np.full(n, genuine)),
        accepted=pack(np.array(accepted)),
        impostor=pack(np.full(n, 100)),
        false_accepts=pack(np.array([1])),
        false_accept_counts=pack(np.array([10])),
        all_false_accepts=10,
        share=1.0,
        stricter_false_accepts=5,
        stricter_accepted=sum(accepted),
    )


def compare(one: list[int], other: list[int]) -> Spread:
    value = (sum(one) - sum(other)) / (3 * len(one))
    return paired_difference([part(counts(one))], [part(counts(other))], value)


@pytest.mark.parametrize(("more", "told"), [(4, False), (5, False), (6, True), (9, True)])
def test_identities_that_all_differ_alike_are_a_sign_test(more: int, told: bool) -> None:
    found = compare([3] * more + [1] * 200, [2] * more + [1] * 200)
    assert found.telling == pytest.approx(more, rel=0.1)
    assert found.p == pytest.approx(2 * 0.5**more, rel=0.35, abs=0.005)
    assert (found.p < 0.05) is told
    assert (found.low > 0) is told, "interval and p value agree"


def test_what_nobody_differs_in_is_no_certainty() -> None:
    found = compare([2] * 50, [2] * 50)
    assert found.p == 1
    assert found.low == -found.high
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 50))
    all_of_it = compare([3] * 50, [0] * 50)
    assert 0.9 < all_of_it.low < 1 == all_of_it.high


def test_sets_of_one_testset_share_people_and_those_of_two_do_not() -> None:
    one, other = counts([3] * 20 + [1] * 80), counts([2] * 30 + [1] * 70)
    value = 0.1
    alone = paired_difference([part(one)], [part(other)], value).error
    halves = [part(one, 0.5, "t"), part(one, 0.5, "t")], [part(other, 0.5, "t"), part(other, 0.5, "t")]
    assert paired_difference(*halves, value).error == pytest.approx(alone), "the same people twice tell nothing new"
    apart = [part(one, 0.5, "t"), part(one, 0.5, "u")], [part(other, 0.5, "t"), part(other, 0.5, "u")]
    assert paired_difference(*apart, value).error == pytest.approx(alone / np.sqrt(2))


def test_what_cannot_be_told_says_why() -> None:
    good = counts([2, 1, 3])
    for change, said in (
        ({"all_false_accepts": 0, "stricter_false_accepts": 0}, "no false accept above it"),
        ({"all_false_accepts": 5}, "all 5 false accepts have scores that tie"),
        ({"genuine": pack(np.array([3, 0, 0])), "accepted": pack(np.array([1, 0, 0]))}, "1 identities"),
        ({"accepted": pack(np.array([4, 0, 0]))}, "cannot be counts of pairs"),
        ({"accepted": pack(np.array([1]))}, "3 numbers are expected; found 1"),
        ({"accepted": ("?",)}, "damaged"),
        ({"false_accepts": pack(np.array([9]))}, "pairs of identities that there are not"),
        ({"false_accepts": pack(np.array([], np.int64)), "false_accept_counts": pack(np.array([], np.int64))}, "noted"),
        ({"genuine": pack(np.full(3, 1 << 61))}, "cannot be counts of pairs"),
    ):
        with pytest.raises(UndecidableError, match=said.replace("?", ".")):
            score_spread([part(msgspec.structs.replace(good, **change))], 0.5)
    with pytest.raises(UndecidableError, match="on other identities"):
        compare([1, 2, 3], [1, 2])


def test_listed_pairs_and_points_without_a_threshold_have_no_counts() -> None:
    rows, numbers = people(count=5)
    everything = verify(rows, numbers, [OperatingPoint(far="1", comparison="<=")], settings=QUICK).points[0]
    assert everything.by_identity is None
    apart = verify(rows[:4], np.arange(4), [POINT], settings=QUICK).points[0]
    assert apart.by_identity is None, "nobody has two images"


def test_any_integers_may_name_identities() -> None:
    rows, numbers = people(count=20)
    expected = counts_of(rows, np.unique(numbers, return_inverse=True)[1], AllToAll()).by_identity
    for names in (numbers - 50, numbers * (1 << 56)):
        found = counts_of(rows, names, AllToAll()).by_identity
        assert found is not None
        assert expected is not None
        assert msgspec.structs.replace(found, identities=expected.identities) == expected


def test_holm() -> None:
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def test_what_false_accepts_add_by_chance_alone_is_counted_once() -> None:
    n, pairs = 4000, 20
    rare = msgspec.structs.replace(
        counts([2] * n),
        impostor=pack(np.full(n, n)),
        false_accepts=pack(np.diff([2 * at * n + 2 * at + 1 for at in range(pairs)], prepend=0)),
        false_accept_counts=pack(np.ones(pairs, np.int64)),
        all_false_accepts=pairs,
        stricter_false_accepts=pairs // 2,
        stricter_accepted=2 * n - 300,
    )
    slope = 300 / (3 * n) / np.log((pairs + 1) / (pairs // 2 + 1))
    found = score_spread([part(rare)], 2 / 3)
    assert found.error == pytest.approx(slope / np.sqrt(pairs), rel=0.02), "20 independent events"
    same = paired_difference([part(rare)], [part(rare)], 0.0)
    assert same.error == 0, "both networks take the same people for each other"
