"""Observations of work that a network does twice: with related weights, in branches, channels or features.

Kinds of `core.facts.implicit_batch`, which see.
"""

from __future__ import annotations

import msgspec

from pytest_facechallenge.core.facts.implicit_batch_kinds import (
    Difference,
    FeatureHome,
    Relation,
    SharedInput,
    Transform,
    WeightRelation,
)
from pytest_facechallenge.core.facts.interventions import Intervention


class SharedWeights(msgspec.Struct, frozen=True, kw_only=True, tag="shared-weights"):
    """The same weights at work side by side, from one pair of inputs on.

    Attributes
    ----------
    layers
        The first executions with one set of weights; none depends on another.
    count
        Sets of weights that run side by side downstream of these, this one included.
    weights
        How the weights relate.
    surplus
        Multiply-adds beyond one execution of each, as a share of all, 0..1.
    inputs, difference
        What the first executions work on; for versions, how one follows from the other.
    same_size, same_settings
        Whether their inputs have one size, and their strides and dilations agree.
    from_image
        Whether no layer stands between the image and any of them.
    looks
        Whether none stands between the image and one of them, whatever made the others' inputs.
    spikes
        Whether each of their inputs has a few values only.
    differ
        Whether they give different results (equal ones are redundant, not a second view).
    """

    layers: tuple[str, ...]
    count: int
    weights: WeightRelation
    surplus: float
    inputs: SharedInput
    difference: Difference | None = None
    same_size: bool = True
    same_settings: bool = True
    from_image: bool = False
    looks: bool = False
    spikes: bool = False
    differ: bool = True
    via: tuple[str, ...] = ()
    branch: str = ""
    intervention: Intervention | None = None


class RepeatedKernels(msgspec.Struct, frozen=True, kw_only=True, tag="repeated-kernels"):
    """Layers whose kernels fall into equal independent halves (thirds…): one layer applied to stacked channels.

    Attributes
    ----------
    layers, blocks, weights
        Labels of the first few of them, the number of parts, how the parts relate.
    share
        Of all multiply-adds that these layers do, 0..1.
    """

    layers: tuple[str, ...]
    blocks: int
    weights: WeightRelation
    share: float
    branch: str = ""
    intervention: Intervention | None = None


class ParallelBranches(msgspec.Struct, frozen=True, kw_only=True, tag="parallel-branches"):
    """Two branches of the network that start from one value and meet only later.

    Attributes
    ----------
    source, first, second, meet
        The value; the first layers of the branches; the node where they meet ("" when the output itself).
    halves
        Whether they are the first and the second part of the channels of grouped layers (then ``first == second``).
    summed
        Whether both are linear up to the node where they meet, and that adds them up: one layer written as two.
    shares
        Of all multiply-adds in each branch, 0..1.
    inputs
        How what the first layers see relates.
    alike, transform
        Best share of the second branch's features (0..1) that equal a feature of the first branch shown the source
        changed by ``transform``.
    alike_unchanged
        The same with the source as it is.
    reordered
        Share of the second branch's kernels that are the first's in another order and scale, 0..1.
    """

    source: str
    first: str
    second: str
    meet: str
    shares: tuple[float, float]
    summed: bool = False
    halves: bool = False
    inputs: Relation = Relation.NOT_COMPARABLE
    alike: float = 0.0
    transform: Transform = Transform.NONE
    alike_unchanged: float = 0.0
    reordered: float = 0.0
    branch: str = ""
    intervention: Intervention | None = None


class CoupledGroups(msgspec.Struct, frozen=True, kw_only=True, tag="coupled-groups"):
    """Two groups of channels, layer after layer, with weak weights between them: two networks in one.

    Attributes
    ----------
    layers, count
        Labels of the first few layers whose channels fall into the groups; how many there are.
    share
        Of all multiply-adds that these layers do, 0..1.
    coupling
        Share of the weights' energy between the groups, 0..1; of the layer that has most.
    alike, transform, colours, turn, taps
        Share of the features of one group (0..1) that are features of the other on the image changed by ``transform``,
        without the weights between them; see `EquivariantFeatures`.
    alike_unchanged
        The same with the image as it is.
    reordered
        Share of one group's kernels that are the other's in another order and scale, 0..1.
    together
        Whether no layer by itself falls into the groups, but what several of them do between two activations.
    """

    layers: tuple[str, ...]
    count: int
    share: float
    coupling: float
    together: bool = False
    alike: float = 0.0
    alike_unchanged: float = 0.0
    transform: Transform = Transform.NONE
    colours: tuple[tuple[float, ...], ...] = ()
    turn: Transform = Transform.NONE
    taps: tuple[tuple[float, ...], ...] = ()
    reordered: float = 0.0
    branch: str = ""
    intervention: Intervention | None = None


class EquivariantFeatures(msgspec.Struct, frozen=True, kw_only=True, tag="equivariant-features"):
    """Features of the image that equal features of a changed image, and never mix with them.

    Attributes
    ----------
    home
        Where the two lie.
    layers
        Labels; for layers (and in turn) the first two.
    transform, colours
        What the image was changed by; for mixed colours the matrix, rows are the new colours.
    turn, taps
        Of a filtered image: what was done before, and the filter's weights, the pixel itself in the middle.
    share
        Multiply-adds beyond one view of the image, as a share of all, 0..1.
    axis, parts, interleaved
        For parts: the axis, the numbers of the two, whether they take turns along it.
    pairs, tokens
        For layers: how many pairs there are; whether the results of the first are put beside each other as places of
        one value, or multiplied with each other, as two sets of tokens are.
    channels
        For layers: how many channels of the first pair's first layer give for the image what a channel of the second
        one gives for the changed image.
    turned_back
        For layers whose work is not followed by others that agree: in how many channels the second one's, before the
        next layer, stand for the changed image where the first one's do for the image.
    fed_by
        In turn: the layers whose features the weights are fed with.
    """

    home: FeatureHome
    layers: tuple[str, ...]
    transform: Transform
    share: float
    colours: tuple[tuple[float, ...], ...] = ()
    turn: Transform = Transform.NONE
    taps: tuple[tuple[float, ...], ...] = ()
    axis: int = -1
    parts: tuple[int, int] = (-1, -1)
    interleaved: bool = False
    pairs: int = 0
    tokens: bool = False
    channels: int = 0
    turned_back: int = 0
    fed_by: tuple[str, ...] = ()
    branch: str = ""
    intervention: Intervention | None = None
