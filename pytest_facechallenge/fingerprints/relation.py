"""From two numbers to what they say: the lines that are drawn, and the words. Pure, standard library only."""

from __future__ import annotations

from enum import StrEnum

#: Likeness of behaviour from which on two networks are taken for one. Measured by evaluation/duplicates: independent
#: networks reach 0.50 at most, copies that were trained further for half as long as the original have 0.85.
SAME_BEHAVIOUR = 0.75
#: From here on people should look: nothing that was trained on its own came as far, and a copy can come lower (a
#: quarter of the embedding alone: 0.72; another architecture that repeats the embeddings: 0.62).
ALIKE_BEHAVIOUR = 0.6
#: Directions in which the embeddings of the images must spread for their likeness to tell anything.
LEAST_DIMENSIONS = 4.0
#: Share of the smaller network's layers with the same weights from which on two networks are taken for one.
SAME_WEIGHTS = 0.5
#: Share and number of layers from which on people should look; single layers can be a formula's, or chance.
SOME_WEIGHTS = 0.1
FEWEST_LAYERS = 3


class Relation(StrEnum):
    """What two fingerprints say."""

    #: Made from one network.
    COPY = "copy"
    #: More alike than independent networks are, and less than copies: people have to look.
    UNDECIDED = "undecided"
    #: Nothing to say.
    INDEPENDENT = "independent"


def by_behaviour(likeness: float | None) -> Relation:
    """Return what the likeness of behaviour says; None where there is none."""
    if likeness is None or likeness < ALIKE_BEHAVIOUR:
        return Relation.INDEPENDENT
    return Relation.COPY if likeness >= SAME_BEHAVIOUR else Relation.UNDECIDED


def by_weights(same: int, layers: int) -> Relation:
    """Return what it says that ``same`` of the smaller network's ``layers`` have the same weights."""
    if same < FEWEST_LAYERS or same < SOME_WEIGHTS * layers:
        return Relation.INDEPENDENT
    return Relation.COPY if same >= SAME_WEIGHTS * layers else Relation.UNDECIDED


def relation(likeness: float | None, same: int, layers: int) -> Relation:
    """Return what both say together: the stronger of the two."""
    found = {by_behaviour(likeness), by_weights(same, layers)}
    return next(each for each in Relation if each in found)


def how(likeness: float | None, same: int, layers: int) -> str:
    """Return in words how two networks are related, "" where there is nothing to say."""
    weights, behaviour = by_weights(same, layers), by_behaviour(likeness)
    shown = "" if likeness is None else f"likeness {likeness:.2f}"
    of = f"{same} of {layers} layers have the same weights"
    if weights is Relation.COPY and same == layers:
        kind = f"the same weights in all {layers} layers"
        return f"{kind}; {shown}" if shown else kind
    if weights is Relation.COPY:
        return f"{of}; {shown}" if shown else of
    if behaviour is Relation.COPY:
        changed = f"{of}" if weights is Relation.UNDECIDED else "its weights were changed"
        return f"{shown}: it embeds as the other does; {changed}"
    if behaviour is Relation.UNDECIDED:
        return f"{shown}: more than independent networks have, less than copies{f'; {of}' if same else ''}"
    if weights is Relation.UNDECIDED:
        return f"{of}{f'; {shown}' if shown else ''}: a part may have been taken over"
    return ""
