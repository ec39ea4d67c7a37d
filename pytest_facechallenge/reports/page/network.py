"""A part of a network as data for a template: boxes in rows from top to bottom, and lines between them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from pytest_facechallenge.core.facts.outline import INPUT, OUTPUT, OutlineNode

#: In pixels: a box, and the room between two boxes of a row and between two rows.
BOX_WIDTH, BOX_HEIGHT, GAP, ROW_GAP = 150, 40, 14, 30
#: The length of the line that says that the network goes on, and the room at the sides, for the lines of boxes.
STUB, MARGIN = 14, 2
#: The most boxes of a row; what is left out is counted.
MOST_IN_A_ROW = 4
#: The most characters of a name in a box: its end, which tells more of a path.
MOST_OF_A_NAME = 22
_CLASSES = {INPUT: "net-end", OUTPUT: "net-end"}


class Box(NamedTuple):
    """A node: left and top edge, class in the style sheet, operator, and its name shortened and in full."""

    left: float
    top: float
    css: str
    op: str
    name: str
    full: str


class Drawing(NamedTuple):
    """A part of a network.

    Attributes
    ----------
    title
        The caption: which nodes it is around.
    description
        What a reader who cannot see it is told: which node feeds which.
    edges, stubs
        Paths: of lines between boxes, and of lines that lead out of the drawing.
    rest
        What is left out, "" if nothing is.
    """

    title: str
    description: str
    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[str, ...]
    stubs: tuple[str, ...]
    rest: str


def draw(nodes: Sequence[OutlineNode], shown: Sequence[int], marked: Collection[int]) -> Drawing:
    """Return the drawing of some nodes.

    Parameters
    ----------
    nodes
        Of the whole network.
    shown
        Positions of the nodes to draw, ascending: what a node reads from stands before it.
    marked
        Positions of the nodes that the finding names.
    """
    rows = _rows(nodes, shown)
    kept = [_cut(row, marked) for row in rows]
    width = max(len(row) for row in kept) * (BOX_WIDTH + GAP) - GAP + 2 * MARGIN
    corners: dict[int, tuple[float, float]] = {}
    for number, row in enumerate(kept):
        start = (width - len(row) * (BOX_WIDTH + GAP) + GAP) / 2
        ordered = sorted(row, key=lambda place: (_middle(nodes[place], corners), place))
        for position, place in enumerate(ordered):
            corners[place] = (start + position * (BOX_WIDTH + GAP), STUB + number * (BOX_HEIGHT + ROW_GAP))
    pairs = [(source, place) for place in corners for source in nodes[place].sources if source in corners]
    names = [nodes[place].name for place in shown if place in marked]
    hidden = sum(map(len, rows)) - len(corners)
    return Drawing(
        title=f"Around {names[0]}" + (f" and {len(names) - 1} more named nodes" if len(names) > 1 else ""),
        description=_description(nodes, pairs, marked),
        width=round(width),
        height=len(kept) * (BOX_HEIGHT + ROW_GAP) - ROW_GAP + 2 * STUB,
        boxes=tuple(_box(nodes[place], corner, place in marked) for place, corner in corners.items()),
        edges=tuple(_edge(corners[source], corners[place]) for source, place in pairs),
        stubs=_stubs(nodes, corners),
        rest=f"{hidden} more nodes beside these are left out." if hidden else "",
    )


def _rows(nodes: Sequence[OutlineNode], shown: Sequence[int]) -> list[list[int]]:
    """Return the nodes row by row: each below all that it reads from."""
    level: dict[int, int] = {}
    for place in shown:
        level[place] = 1 + max((level[source] for source in nodes[place].sources if source in level), default=-1)
    # What nothing drawn feeds stands right above its first reader, not at the very top.
    for place in reversed(shown):
        readers = [level[each] for each in shown if place in nodes[each].sources and each > place]
        if readers and not any(source in level for source in nodes[place].sources):
            level[place] = min(readers) - 1
    lowest = min(level.values())
    rows: list[list[int]] = [[] for _ in range(max(level.values()) - lowest + 1)]
    for place, number in level.items():
        rows[number - lowest].append(place)
    return [row for row in rows if row]


def _cut(row: list[int], marked: Collection[int]) -> list[int]:
    """Return at most `MOST_IN_A_ROW` nodes of a row, those that the finding names before others."""
    return sorted(sorted(row, key=lambda place: place not in marked)[:MOST_IN_A_ROW])


def _middle(node: OutlineNode, corners: dict[int, tuple[float, float]]) -> float:
    """Return where the boxes above lie that a node reads from, so that lines cross seldom."""
    above = [corners[source][0] for source in node.sources if source in corners]
    return sum(above) / len(above) if above else 0.0


def _box(node: OutlineNode, corner: tuple[float, float], marked: bool) -> Box:
    css = "net-named" if marked else _CLASSES.get(node.op, "net-node")
    name = node.name if len(node.name) <= MOST_OF_A_NAME else f"…{node.name[1 - MOST_OF_A_NAME :]}"
    return Box(round(corner[0], 1), corner[1], css, node.op, name, node.name)


def _edge(above: tuple[float, float], below: tuple[float, float]) -> str:
    x1, y1 = above[0] + BOX_WIDTH / 2, above[1] + BOX_HEIGHT
    x2, y2 = below[0] + BOX_WIDTH / 2, below[1]
    middle = (y1 + y2) / 2
    return f"M{x1:g} {y1:g}C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {y2:g}"


def _stubs(nodes: Sequence[OutlineNode], corners: dict[int, tuple[float, float]]) -> tuple[str, ...]:
    """Return short lines at boxes that read from, or feed, what is not drawn."""
    inside = set(corners)
    feeds = {source for place, node in enumerate(nodes) if place not in inside for source in node.sources} & inside
    found = []
    for place, (left, top) in corners.items():
        middle = left + BOX_WIDTH / 2
        if any(source not in inside for source in nodes[place].sources):
            found.append(f"M{middle:g} {top - STUB:g}v{STUB}")
        if place in feeds:
            found.append(f"M{middle:g} {top + BOX_HEIGHT:g}v{STUB}")
    return tuple(found)


def _description(nodes: Sequence[OutlineNode], pairs: Sequence[tuple[int, int]], marked: Collection[int]) -> str:
    def said(place: int) -> str:
        return f"{nodes[place].op} {nodes[place].name}{' (named by the finding)' if place in marked else ''}"

    return ". ".join(f"{said(source)} feeds {said(place)}" for source, place in pairs) or "A node by itself"
