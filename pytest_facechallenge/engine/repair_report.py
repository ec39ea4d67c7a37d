"""What came of a repair: what was mended, what could not be and why, the proof, and the mended file's verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_facechallenge.core.facts.repair import RepairFacts
from pytest_facechallenge.engine.report import Report

#: Why changing a file does not mend what breaks a rule, by the rule's check. What can be mended there was tried before.
CANNOT: Mapping[str, str] = {
    "package": "there is no model in it that could be taken out",
    "onnx_valid": "the file cannot be read or run as a model, and nobody can tell what it should hold",
    "model_size": "fewer bytes need fewer weights: a smaller network has to be trained",
    "input_shape": "the network was made for another input; another one in front changes what it computes",
    "output": "no single output with a row of values an image can be chosen",
    "embedding_dim": "the number of values is the width of the last layer: another width has to be trained",
    "batch": "the rows depend on what the network computes, not on a number in the file",
    "cosine_similarity": "the values that come out are the network's own",
    "deterministic": "chance is part of what the network computes",
    "no_float16": "digits that float16 or integers lost are in no file: hand in the float32 weights",
    "no_implicit_batch": "a second pass over the image is part of the network: without it the embeddings are others",
    "no_realignment": "the alignment is part of the network: without it the embeddings are others",
    "preprocessing": "the network expects other pixels than it is fed, and no name of a node changes that",
    "rgb_accuracy": "which order of the channels was learnt, only training changes",
    "rgb_order": "which order of the channels was learnt, only training changes",
    "server_runtime": "operators that the server does not know would have to be written with others: export again",
    "helper_verdict": "the organisers' checker stops at something that is part of the network",
    "flops_budget": "less arithmetic needs a smaller network, which has to be trained",
    "flops_crosscheck": "two ways of counting differ, which no file changes",
    "latency": "a faster network has to be trained",
    "accuracy": "better scores need another training",
    "ranking_score": "better scores need another training",
    "testset_images": "the images are not part of the submission",
}
_STATED = "only people can state it: correct the declaration"
_FEATURES = "features are computed anew from the images, not mended"
_OTHER = "the network itself has to be changed"


def why_not(check: str) -> str:
    """Return why a repair of the file does not mend what breaks a rule with this check."""
    families = {"declared_": _STATED, "feature_": _FEATURES}
    return CANNOT.get(check) or next((why for head, why in families.items() if check.startswith(head)), _OTHER)


@dataclass(frozen=True)
class NotMended:
    """A rule that is broken after the repair, on which track, and why no change of the file mends it."""

    rule: str
    track: str
    why: str


@dataclass(frozen=True)
class RepairReport:
    """What came of a repair.

    Attributes
    ----------
    facts
        The repairs and the comparison of embeddings; None where the model cannot be read.
    model, archive
        The mended file and the zip of it; None when there is none.
    report
        The mended file judged like any submission; what was handed in, where there is no mended file.
    not_mended
        What is broken in ``report``, and why a repair cannot mend it.
    why_not
        Why no file was written; "" when one was.
    """

    facts: RepairFacts | None
    model: Path | None = None
    archive: Path | None = None
    report: Report | None = None
    not_mended: tuple[NotMended, ...] = ()
    why_not: str = ""
