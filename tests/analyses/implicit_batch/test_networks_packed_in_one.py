"""Several networks in one, their channels permuted and rescaled, with weak weights between them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from evaluation.case import BATCH_RULE
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import Net
from tests.analyses.implicit_batch.test_detector import answer

Array = npt.NDArray[Any]

WIDTH = 12


def packed(net: Net, chains: list[list[Array]], noise: float = 0.0) -> str:
    """Pack chains of kernels, and give the mean of what they give."""
    x = net.x
    undo: Array = np.eye(3)
    for depth, kernels in enumerate(zip(*chains, strict=True)):
        outs, ins = [len(k) for k in kernels], [0] * len(kernels) if depth == 0 else [k.shape[1] for k in kernels]
        w = np.concatenate(kernels) if depth == 0 else 0.02 * net.weights(sum(outs), sum(ins), 3, 3)
        for i, k in enumerate(kernels if depth else ()):
            w[sum(outs[:i]) : sum(outs[: i + 1]), sum(ins[:i]) : sum(ins[: i + 1])] = k
        w = np.einsum("oihw,ij->ojhw", w, undo)
        order = net.random.permutation(len(w))
        turn = np.eye(len(w))[order] * net.random.uniform(0.5, 2, len(w))[:, None]
        w = np.einsum("po,oihw->pihw", turn, w)
        w = (w * (1 + noise * net.random.standard_normal(w.shape))).astype(np.float32)
        x, undo = net.op("Relu", net.conv(x, w, stride=2 if depth else 1)), np.linalg.inv(turn)
    mean = np.tile(np.eye(WIDTH), len(chains)) @ undo
    return net.pool(net.conv(x, mean.astype(np.float32)[..., None, None]))


def mirrored(chain: list[Array]) -> list[Array]:
    return [w[..., ::-1] for w in chain]


def chain(net: Net) -> list[Array]:
    return list(net.body_weights((3, WIDTH, WIDTH, WIDTH)))


def recoloured(chain: list[Array]) -> list[Array]:
    mix = np.array([[0.7, 0.3, -0.2], [-0.2, 0.9, 0.4], [0.5, -0.3, 0.8]])
    return [np.einsum("oihw,ij->ojhw", chain[0], mix), *chain[1:]]


def the_image_and_two_recoloured_mirror_images(net: Net) -> str:
    own = chain(net)
    return packed(net, [own, recoloured(mirrored(own)), recoloured(recoloured(mirrored(own)))])


def a_recoloured_mirror_image_with_noise_on_all_weights(net: Net) -> str:
    own = chain(net)
    return packed(net, [own, recoloured(mirrored(own))], noise=0.02)


def three_networks_of_their_own(net: Net) -> str:
    return packed(net, [chain(net) for _ in range(3)])


def shuffled(net: Net, x: str) -> str:
    """Weave the two halves of the channels, as the shuffle of a ShuffleNet does."""
    apart = net.op("Reshape", x, net.ints(0, 2, WIDTH, 32 * 32))
    return str(net.op("Reshape", net.op("Transpose", apart, perm=[0, 2, 1, 3]), net.ints(0, 2 * WIDTH, 32, 32)))


def by_groups(net: Net, one: list[Array], other: list[Array]) -> str:
    """Two networks in layers of two groups and in layers that hardly connect the two."""
    woven = np.arange(2 * WIDTH).reshape(2, WIDTH).T.ravel()
    x = net.op("Relu", net.conv(net.x, np.concatenate([one[0], other[0]])[woven]))
    unwoven = np.argsort(woven)
    x = net.op("Gather", x, net.ints(*unwoven.tolist()), axis=1)
    x = net.op("Relu", net.conv(x, np.concatenate([one[1], other[1]]), group=2))
    w = 0.02 * net.weights(2 * WIDTH, 2 * WIDTH, 3, 3)
    w[:WIDTH, :WIDTH], w[WIDTH:, WIDTH:] = one[2], other[2]
    x = net.op("Relu", net.conv(shuffled(net, x), w[:, woven]))
    return net.fc(net.pool(x), np.tile(net.weights(WIDTH, 16), (2, 1)))


def test_groups_that_the_file_gives_count_beside_those_of_the_weights(tmp_path: Path) -> None:
    own: list[Array] = []

    def build(net: Net) -> str:
        own[:] = chain(net)
        return by_groups(net, own, recoloured(mirrored(own)))

    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.FAILED, outcome.message
    assert "'Conv_3', 'Conv_8': the channels of 2 layers" in outcome.message
    assert "zeroing the weights between the groups in 1 layers" in outcome.message


def tied_by(net: Net, bias: float) -> str:
    """A network and its mirror image, with channels that tie the two by weights as large as theirs."""
    own, x, more = chain(net), net.x, 0
    for depth, (a, b) in enumerate(zip(own, mirrored(own), strict=True)):
        w = np.concatenate([a, b]) if depth == 0 else np.zeros((2 * WIDTH, 2 * WIDTH, 3, 3))
        if depth:
            w[:WIDTH, :WIDTH], w[WIDTH:, WIDTH:] = a, b
        tie = net.random.normal(0, a.std(), (2 * WIDTH, more, 3, 3))
        w = np.concatenate([w, tie], 1)
        more = WIDTH
        w = np.concatenate([w, net.random.normal(0, a.std(), (more, *w.shape[1:]))]).astype(np.float32)
        shift = np.concatenate([np.zeros(2 * WIDTH), np.full(more, bias)]).astype(np.float32)
        x = net.op("Relu", net.conv(x, w, stride=2 if depth else 1, bias=shift))
    ends = np.concatenate([np.tile(net.weights(WIDTH, 16), (2, 1)), net.weights(more, 16)])
    return net.fc(net.pool(x), ends.astype(np.float32))


def test_channels_that_are_never_active_connect_nothing(tmp_path: Path) -> None:
    silent = answer(lambda net: tied_by(net, -60.0), tmp_path)[BATCH_RULE]
    assert silent.status is Status.FAILED, silent.message
    assert "two networks in one" in silent.message
    active = answer(lambda net: tied_by(net, 0.0), tmp_path)[BATCH_RULE]
    assert "two networks in one" not in active.message


@pytest.mark.parametrize(
    "build", [the_image_and_two_recoloured_mirror_images, a_recoloured_mirror_image_with_noise_on_all_weights]
)
def test_one_network_packed_several_times_is_found_by_its_kernels(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.FAILED, outcome.message
    assert "in another order and scale: one body, run twice" in outcome.message
    assert "zeroing the weights between the groups" in outcome.message


def test_networks_that_have_nothing_in_common_are_not_accused(tmp_path: Path) -> None:
    outcome = answer(three_networks_of_their_own, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.UNDECIDED, outcome.message
    assert "what the second adds to the first was not found" in outcome.message
