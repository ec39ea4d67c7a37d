"""Mend a copy of the model, and compare its embeddings with those of the model as it was handed in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.interface.gather import external_is_safe
from pytest_facechallenge.analyses.repair.names import labels_of
from pytest_facechallenge.analyses.repair.options import RepairOptions
from pytest_facechallenge.analyses.repair.proof import Fed, local_proof, server_proof
from pytest_facechallenge.analyses.repair.table import LAYOUT, REPAIRS, Given
from pytest_facechallenge.core.facts.behaviour import BatchFacts
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.facts.preprocessing import PreprocessingFacts
from pytest_facechallenge.core.facts.repair import Mended, RepairFacts
from pytest_facechallenge.inference.images import natural, to_input

#: The mended model, in the private working folder.
FILE = "mended/model.onnx"
#: Images that are compared.
IMAGES = 4


def gather(context: Context) -> RepairFacts:
    """Apply every repair of the table that applies; see `RepairFacts`."""
    interface = context.facts.need(InterfaceFacts)
    if not external_is_safe(interface):
        return RepairFacts(trouble="weights lie in a side file that was not handed in or cannot be read")
    context.report("mending a copy of the model")
    model = onnx.load(str(context.model_path))
    names = [value.name for value in model.graph.output]
    repairs = [*_packaging(context), *_applied(context, model)]
    if not repairs:
        return RepairFacts()
    target = context.workdir / FILE
    target.parent.mkdir(exist_ok=True)
    try:
        onnx.save(model, str(target))
    except ValueError as error:  # protobuf writes at most 2 GiB
        return RepairFacts(repairs=tuple(repairs), trouble=f"the mended model cannot be written: {error}")
    if not model.graph.output:
        return RepairFacts(repairs=tuple(repairs), trouble="the model has no output")
    return _proven(context, target, names.index(model.graph.output[0].name), tuple(repairs))


def _applied(context: Context, model: onnx.ModelProto) -> list[Mended]:
    given = Given(context.facts, context.options.of(RepairOptions), labels_of(model))
    found = []
    for repair in REPAIRS:
        what = repair.apply(model, given)
        if what:
            found.append(Mended(name=repair.name, why=repair.why, what=what))
    return found


def _packaging(context: Context) -> list[Mended]:
    """Return what the packing of the mended model alone mends."""
    package, interface = context.facts.need(PackageFacts), context.facts.need(InterfaceFacts)
    found = []
    if package.problems:
        what = f"{package.model_name!r} alone, as model.onnx"
        found.append(Mended(name="package", why="The server unpacks one file, model.onnx.", what=what))
    if interface.external:
        files = len({entry.location for entry in interface.external})
        what = f"{files} side file{'' if files == 1 else 's'} taken into the model"
        found.append(Mended(name="side files", why="The server gets one file.", what=what))
    return found


def _proven(context: Context, target: Path, place: int, repairs: tuple[Mended, ...]) -> RepairFacts:
    """Return the facts with what the runtimes say.

    Parameters
    ----------
    place
        Which output of the model as it was handed in is the embedding.
    """
    preprocessing, batch = context.facts.get(PreprocessingFacts), context.facts.get(BatchFacts)
    mean, std = 127.5, 127.5
    if preprocessing is not None:
        mean, std = preprocessing.server_mean, preprocessing.server_std
    elif batch is not None:
        mean, std = batch.mean, batch.std
    images = np.asarray(to_input(natural(IMAGES, context.options.seed + 3), mean, std), np.float32)
    turned = any(each.name == LAYOUT for each in repairs)
    fed = Fed(images.transpose(0, 2, 3, 1).copy() if turned else images, images)
    local = local_proof(context, target, fed, place)
    if isinstance(local, str):
        return RepairFacts(repairs=repairs, trouble=f"the mended model does not run: {local}")
    return RepairFacts(repairs=repairs, file=FILE, local=local, server=server_proof(context, target, fed, place))
