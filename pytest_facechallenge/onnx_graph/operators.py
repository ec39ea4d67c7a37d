"""What the package knows of operators: one row of traits for each, in `operator_table`, read here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from functools import cache
from typing import Final

from pytest_facechallenge.onnx_graph import operator_table

ALL_DOMAINS: Final = ("", "ai.onnx.ml", "com.microsoft")


@unique
class Kind(StrEnum):
    """What an operator is, broadly; each has one."""

    UNARY = "unary"  # each value alone, by a fixed function
    PAIR = "pair"  # the values of two or more tensors at the same place
    NORMALISING = "normalising"  # scales values by statistics of their neighbours along axes
    POOLING = "pooling"  # many values become one, along axes or in windows; running sums too
    LAYOUT = "layout"  # the same values in the same order, under another shape or order of axes
    MOVING = "moving"  # copies, repeats, chooses, sorts, interpolates
    ABOUT_SHAPE = "about-shape"  # says how large a tensor is, whatever is in it
    MAKING = "making"  # new data out of sizes, attributes, chance
    QUANTISING = "quantising"
    CONVOLUTION = "convolution"
    PRODUCT = "product"  # matrix products
    RECURRENT = "recurrent"
    ATTENTION = "attention"
    SPECTRAL = "spectral"
    CONTROL = "control"  # has a graph inside, and decides whether or how often it runs
    LOSS = "loss"
    SEQUENCE = "sequence"  # puts tensors into sequences and optionals, and takes them out
    TEXT = "text"
    TABLE = "table"  # lookups and decision trees of ai.onnx.ml
    OTHER = "other"


@unique
class Trait(StrEnum):
    """A thing that is true of some operators."""

    # What it costs.
    FREE = "free"  # nothing, in the challenge's arithmetic
    IDLE = "idle"  # neither multiplies nor adds what it is given
    VIEW = "view"  # a runtime only gives the tensor another shape or name
    # What becomes of the values.
    SAME = "same"  # every value stays what it is, but for its type
    IN_PLACE = "in-place"  # each result stands where the value stood that it is made of
    VARIADIC = "variadic"  # any number of inputs, combined place by place
    POOLS = "pools"  # several values of a map become one of the same meaning
    WINDOW = "window"  # by windows of ``kernel_shape``
    INTERPOLATES = "interpolates"  # makes values between the given ones
    LOOKS_UP = "looks-up"  # takes values of input 0 from the places that input 1 says
    SCATTERS = "scatters"  # puts values to places
    SEQUENCES = "sequences"  # its first result is a sequence of tensors
    RANDOM = "random"  # differs from run to run
    GENERATES = "generates"  # nothing that is stored enters its result but sizes and attributes
    # Arithmetic, for finding products that are not written as such.
    ADDS = "adds"
    MULTIPLIES = "multiplies"  # also by a mask of 0 and 1
    ARITHMETIC = "arithmetic"  # sum, difference, product or quotient of its inputs
    LINEAR = "linear"  # a sum of products stays one, up to scaling and the choice of what is summed
    SUMS = "sums"  # along axes
    SUMS_CHANGED = "sums-changed"  # sums something else than the plain values: squares, absolute values, exponentials
    SCALES = "scales"  # by input 1, along an axis
    DERIVES = "derives"  # what it makes comes from its inputs alone, without weights: an activation, a norm
    # Weights.
    LEARNED = "learned"  # has trained parameters among its inputs
    STANDARD_WEIGHTS = "standard-weights"  # which lie as those of the standard's operator of the kind
    KEEPS = "keeps"  # what it makes of stored numbers are the same weights: moved, scaled, summed, converted
    APART = "apart"  # stored numbers can still be taken out of its result when others were mixed in
    ACTIVATES = "activates"  # an activation function, or part of one
    PARTS = "parts"  # takes a number apart; networks hardly ever do this to what they compute from the image
    PICKS = "picks"  # a product that picks rows of one operand when the other holds a single one in each row


@unique
class Along(StrEnum):
    """What becomes of an axis of its inputs: how `batch_axis` follows the axis along which images lie."""

    UNKNOWN = ""  # not followed
    EACH = "each"  # place by place, with broadcasting
    REDUCED = "axes"  # the axes named are summed up, or all
    ONE_AXIS = "one-axis"  # what lies along ``axis`` is compared, sorted or normalised together
    TAIL = "tail"  # the axes from ``axis`` on are normalised together
    MAPS = "maps"  # first axis apart; channels and places of a map are mixed
    PRODUCT = "product"
    GEMM = "gemm"
    EINSUM = "einsum"
    RECURRENT = "recurrent"
    FIRST_APART = "first-apart"  # the entries of the first axis are worked on apart
    RELAID = "relaid"  # the same elements in the same order, under another shape
    SIZES = "sizes"  # only how large the input is
    NOTHING = "nothing"  # no content of its inputs but sizes
    OWN = "own"  # a rule of its own
    BODIES = "bodies"  # what its graphs do


@dataclass(frozen=True, slots=True)
class Operator:
    """What is known of one operator.

    Attributes
    ----------
    domain, name
        As in `onnx_graph.ir.Node`; the standard's domain is "".
    kind, traits
        See there.
    steers
        Inputs that say how (shapes, axes, where to cut) and do not become part of the result.
    sizes
        Inputs on whose content the result's shape depends.
    chooses
        Inputs that choose among the values of others: each result is one of those.
    read
        Inputs whose content the analyses need where the graph computes it: trip counts, lengths of transforms, axes.
    result
        "integer" or "float" where the result is that whatever the inputs are; else "".
    along
        See there.
    """

    domain: str
    name: str
    kind: Kind = Kind.OTHER
    traits: frozenset[Trait] = frozenset()
    steers: frozenset[int] = frozenset()
    sizes: frozenset[int] = frozenset()
    chooses: frozenset[int] = frozenset()
    read: tuple[int, ...] = ()
    result: str = ""
    along: Along = Along.UNKNOWN

    def has(self, trait: Trait) -> bool:
        """Return whether the trait is in its row."""
        return trait in self.traits


def _parse(domain: str, line: str) -> Operator:
    name, kind, *words = line.split()
    settings = dict(word.split("=") for word in words if "=" in word)
    inputs = {key: tuple(int(place) for place in settings.get(key, "").split(",") if place)
              for key in ("steers", "sizes", "chooses", "read")}  # fmt: skip
    return Operator(
        domain,
        name,
        Kind(kind),
        frozenset(Trait(word) for word in words if "=" not in word),
        steers=frozenset(inputs["steers"]),
        sizes=frozenset(inputs["sizes"]),
        chooses=frozenset(inputs["chooses"]),
        read=inputs["read"],
        result=settings.get("result", ""),
        along=Along(settings.get("along", "")),
    )


def _read() -> dict[tuple[str, str], Operator]:
    tables = (operator_table.STANDARD, operator_table.CLASSIC, operator_table.RUNTIME)
    rows = [
        _parse(domain, line)
        for domain, table in zip(ALL_DOMAINS, tables, strict=True)
        for line in table.strip().splitlines()
    ]
    return {(row.domain, row.name): row for row in rows}


#: Every row, by domain and name.
OPERATORS: Final = _read()


def operator(domain: str, name: str) -> Operator:
    """Return the row of an operator; for one without a row, a row without traits."""
    domain = "" if domain == "ai.onnx" else domain
    return OPERATORS.get((domain, name)) or Operator(domain, name)


@cache
def names(*wanted: Kind | Trait, domains: tuple[str, ...] = ALL_DOMAINS) -> frozenset[str]:
    """Return the names of the operators of those domains that have every kind and trait wanted."""
    return frozenset(
        row.name
        for row in OPERATORS.values()
        if row.domain in domains and all(row.kind is word or word in row.traits for word in wanted)
    )
