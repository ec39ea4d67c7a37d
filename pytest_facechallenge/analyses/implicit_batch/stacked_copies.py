"""Versions of one thing put beside each other inside one tensor."""

from __future__ import annotations

from pytest_facechallenge.analyses.implicit_batch.channel_groups import overlap
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part, blocks_of
from pytest_facechallenge.analyses.implicit_batch.stacked_blocks import StackedBlocks
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import StackedCopies
from pytest_facechallenge.core.facts.implicit_batch_kinds import TURNED

#: Operators that fill a larger map with what stands near.
ENLARGING = frozenset({"Resize", "Upsample"})


def observe(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:  # noqa: ARG001  # one signature for all
    """Return the versions of one thing before every layer where something was put together."""
    blocks = [block for block in model.blocks if not (block.windows or _enlarged(model, block))]
    return [Hypothesis(_copies(model, block), _parts(model, block)) for block in blocks]


def _enlarged(model: TracedModel, block: StackedBlocks) -> bool:
    """Whether features repeat each other because an operator made their map larger: neighbours are then the same."""
    producer = model.structure.producer.get(block.value)
    enlarged = producer is not None and producer.op in ENLARGING and block.pair.difference.relation not in TURNED
    return enlarged and block.pair.axis > 1 and not model.is_pixels(block.layer)


def _copies(model: TracedModel, block: StackedBlocks) -> StackedCopies:
    return StackedCopies(
        layer=block.layer.node.label,
        join=_join(model, block.layer, block.value),
        axis=block.pair.axis,
        on_channels=block.on_channels,
        blocks=block.pair.blocks,
        coverage=round(block.pair.coverage, 3),
        difference=block.pair.difference,
        overlap=overlap(model.structure, block.layer, block.pair) if block.on_channels else 0.0,
        from_image=model.is_pixels(block.layer),
        macs_after=round(model.macs_after(block.layer), 4),
        via=model.via(block.layer),
        branch=model.branch,
    )


def _parts(model: TracedModel, block: StackedBlocks) -> tuple[Part, Part]:
    pair = block.pair
    extent = model.structure.shapes[block.value][pair.axis]
    return blocks_of(block.value, pair.axis, extent, pair.blocks, (pair.first, pair.second), pair.interleaved)


def _join(model: TracedModel, layer: Layer, name: str) -> str:
    """Return the label of the node that put a value before the layer together."""
    joins = model.joins_before(layer)
    made = next((node for node in joins if name in node.outputs), joins[0] if joins else None)
    made = made or model.structure.producer.get(name)
    return made.label if made is not None else name
