"""What people really hand in: each situation with the finding and the remedy that are right.

A row for every row of the reports that were gathered, and for every folder of cases (``case``). The tests build each
situation and hold the finding and the remedy against what is really said; ``docs/situations.md`` is made from the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from tests.situations import builders, testsets
from tests.situations.told import Told
from tests.support.findings import broken, findings
from tests.support.models import network, pack, save


@dataclass(frozen=True)
class Situation:
    """One situation.

    Attributes
    ----------
    name, case
        In words, and the folder of cases that it stands for ("" for none).
    build
        Makes it in an empty folder and returns what is handed in.
    rule
        The rule that tells it; the only one that is broken where ``breaks``.
    finding, remedy
        Parts of what is said, word for word.
    breaks
        Whether the rule is broken.
    observe
        How it is looked at: as a submission, or otherwise.
    """

    name: str
    case: str
    build: Callable[[Path], Path]
    rule: str
    finding: str
    remedy: str = ""
    breaks: bool = True
    observe: Callable[[Path, Path, str], Told] | None = None

    def told(self, folder: Path) -> Told:
        """Build it, look at it, and return what is said."""
        path = self.build(folder / "handed-in")
        return (self.observe or submitted)(path, folder / "work", self.rule)


def submitted(path: Path, work: Path, rule: str) -> Told:
    """Judge a submission without the probing rules."""
    found = findings(path, work)
    outcome = found[rule]
    said = " ".join([outcome.message, *outcome.notes, *(f"{each.where}: {each.what}" for each in outcome.evidence)])
    return Told(frozenset(broken(found)), said, outcome.remedy)


def read_as_testset(path: Path, _work: Path, _rule: str) -> Told:
    """Read a testset; what is said is how many images it has, or what is wrong."""
    from pytest_facechallenge.testsets.model import TestsetError
    from pytest_facechallenge.testsets.reader import read_testset

    try:
        return Told(frozenset(), f"{len(read_testset(path).images)} images are read")
    except TestsetError as error:
        return Told(frozenset(), str(error))


def _model(**more: object) -> Callable[[Path], Path]:
    return lambda folder: save(network(**more), folder / "model.onnx")  # type: ignore[arg-type]


def _cast_to_float64() -> onnx.ModelProto:
    tail = [helper.make_node("Cast", ["embedding"], ["wide"], "widen", to=TensorProto.DOUBLE)]
    return network(tail=tail, output="wide", output_dtype=TensorProto.DOUBLE)


def _in_a_folder(folder: Path) -> Path:
    return pack(folder.parent / "entry.zip", {"submission/model.onnx": save(network(), folder / "m.onnx").read_bytes()})


def _declared(text: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = save(network(), folder / "model.onnx")
        (folder / "declaration.toml").write_text(text, encoding="utf-8")
        return path

    return build


CALL = "torch.onnx.export(model.eval(), torch.zeros(1, 3, 112, 112), 'model.onnx', dynamo=False, opset_version=13, "
PRACTICE = 'schema = "facechallenge-declaration/2"\npurpose = "practice"\n'

SITUATIONS: tuple[Situation, ...] = (
    Situation(
        "the plainest export there is: a batch of 1, fixed",
        "fixed-batch",
        builders.plainest,
        "batch",
        "the server makes it symbolic, and so did this test",
        breaks=False,
    ),
    Situation(
        "the same, with initializers listed as inputs",
        "fixed-batch",
        builders.keeping_initializers,
        "input",
        "The one input is 'data' float[N,3,112,112].",
        breaks=False,
    ),
    Situation(
        "today's default export: a new opset, IR 10, the weights in model.onnx.data",
        "dynamo-external",
        builders.default_export,
        "server-runtime",
        "PRelu uses the definition of opset 16; the runtime knows that of opset 9.",
        f"Export again with one call: {CALL}input_names=['x'], ",
    ),
    Situation(
        "that file packed without its side file",
        "dynamo-external",
        builders.without_side_file,
        "package",
        "refer to the side file 'model.onnx.data', but the file is missing",
        "Write the weights into the model's own file: python -c",
    ),
    Situation(
        "a model that a converter made float16",
        "fp16-converter",
        builders.half,
        "no-float16",
        "Every weight has to be stored as float32. Found: 16 tensor(s) are stored as float16.",
        "Hand in the model that you converted",
    ),
    Situation(
        "NHWC, from tf2onnx",
        "",
        builders.channels_last,
        "input",
        "must be [N,3,112,112], found [N,112,112,3]",
        "Convert again with tf2onnx to opset 13, with the image's channels first",
    ),
    Situation(
        "two outputs, the embedding and its norm",
        "two-outputs",
        builders.two_outputs,
        "output",
        "Exactly one output is expected, found 2; 'norm' is [N,1], the norm of the embedding.",
        "Keep 'feature' alone: python -c \"import onnx.utils; onnx.utils.extract_model('model.onnx', ",
    ),
    Situation(
        "the norm kept by mistake",
        "two-outputs",
        builders.norm_alone,
        "output",
        "it is the norm of the embedding and not the embedding",
        "Export the embedding in its place",
    ),
    Situation(
        "the file that onnxruntime wrote by optimized_model_filepath",
        "optimised-saved",
        builders.saved_by_onnxruntime,
        "server-runtime",
        "opset_import of ai.onnx.ml: version 5, at most 2 is loaded; no node uses it.",
        "Remove the imports that no node uses",
    ),
    Situation(
        "exported with training=TrainingMode.TRAINING",
        "training-export",
        builders.trained,
        "batch",
        "is in training mode and normalises by the statistics of the batch",
        "Export without training=, from model.eval().",
    ),
    Situation(
        "quantised dynamically",
        "quantised",
        builders.quantised,
        "no-float16",
        "weights come from integers or booleans that take fewer than 32 bits each",
        "A quantiser wrote this file: hand in the float32 model that you gave it.",
    ),
    Situation(
        "a Reshape that holds a batch of 1",
        "",
        builders.baked,
        "batch",
        "A batch of 2 does not run: the Reshape '/Reshape' makes [1,-1] of every batch; the 1 in it holds the batch.",
        "In forward(), where it reshapes to [1,-1], write x.flatten(1), or x.size(0) for the 1.",
    ),
    Situation(
        "a declaration without its schema",
        "",
        _declared('purpose = "practice"\n'),
        "training-set",
        'its first line must be schema = "facechallenge-declaration/2"',
        "Correct it; pytest --facechallenge-write-declaration FILE writes a template with every key.",
        observe=testsets.declared,
    ),
    Situation(
        "an honest declaration of today, for practice",
        "",
        _declared(PRACTICE),
        "submission-window",
        "The model is judged for practice, and this rule is about entries.",
        breaks=False,
        observe=testsets.declared,
    ),
    Situation(
        "a zip with a folder inside",
        "",
        _in_a_folder,
        "package",
        "The model lies in a folder of the archive, 'submission'",
        "Pack model.onnx alone: python -m zipfile -c submission.zip model.onnx",
    ),
    Situation(
        "a float64 output",
        "",
        lambda folder: save(_cast_to_float64(), folder / "model.onnx"),
        "output",
        "The output is float64, which the organisers' checker accepts",
        breaks=False,
    ),
    Situation(
        "a network trained on BGR that swaps the channels by Gather",
        "",
        builders.swapping,
        "rgb-order",
        "The graph turns RGB into BGR itself (swap)",
        breaks=False,
    ),
    Situation(
        "no testset: the order of channels it was trained on",
        "",
        _model(),
        "rgb-order",
        "Whether the network was trained on RGB images cannot be seen in the graph",
        breaks=False,
    ),
    Situation(
        "an easy or a grey testset",
        "",
        testsets.nothing,
        "rgb-order",
        "Judged by the structure of the graph",
        breaks=False,
        observe=testsets.grey,
    ),
    Situation(
        "a .bin of an odd number of images",
        "bins",
        testsets.odd_bin,
        "accuracy",
        "expected two images for each answer, found 3 images and 2 answers",
        breaks=False,
        observe=read_as_testset,
    ),
    Situation(
        "a .bin of paths",
        "bins",
        testsets.path_bin,
        "accuracy",
        "for paths write a list: 'path path 1'",
        breaks=False,
        observe=read_as_testset,
    ),
    Situation(
        "a .bin of decoded pixels",
        "bins",
        testsets.pixel_bin,
        "accuracy",
        "4 images are read",
        breaks=False,
        observe=read_as_testset,
    ),
    Situation(
        "an LFW list of lines 'path path 1'",
        "lfw-pairs",
        testsets.flat_list,
        "accuracy",
        "4 images are read",
        breaks=False,
        observe=read_as_testset,
    ),
    Situation(
        "an LFW list without its header, in Latin-1, with MTCNN's names",
        "lfw-pairs",
        testsets.latin_list,
        "accuracy",
        "4 images are read",
        breaks=False,
        observe=read_as_testset,
    ),
    Situation(
        "an LFW list whose header counts other pairs",
        "lfw-pairs",
        testsets.wrong_header,
        "accuracy",
        "its first line announces",
        breaks=False,
        observe=read_as_testset,
    ),
)
