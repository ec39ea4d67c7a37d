"""The step ``server``: run the model in the evaluation server's runtime, and in this one, on the same images."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.server.options import ServerOptions
from pytest_facechallenge.analyses.weights import inventory
from pytest_facechallenge.core.facts.preprocessing import PreprocessingFacts
from pytest_facechallenge.core.facts.server import Comparison, ServerFacts, Stage

#: Images that are run. Each is another random image, so that equal embeddings mean something.
IMAGES = 4

#: A model that declares larger images is given the usual ones: its refusal is what there is to see.
MAX_PIXELS = 1 << 24

SCRIPT = Path(__file__).with_name("server_script.py")


def gather(context: Context) -> ServerFacts:
    """Run the model in the interpreter ``ServerOptions.python`` and in this one; compare the embeddings.

    Both run in a process of their own. Without such an interpreter nothing is run, and the local one only when the
    given one gave embeddings.
    """
    options = context.options.of(ServerOptions)
    python = options.python
    if not python:
        return ServerFacts(ran=False)
    escaping = inventory.escaping_side_file(context.model, context.model_path.parent)
    if escaping:
        return ServerFacts(ran=True, error=f"not tried: {escaping}")
    timeout = options.timeout
    images_path = context.workdir / "server_images.npy"
    np.save(images_path, images(context))
    server = run_in(context, python, "server", images_path, timeout)
    # What the local runtime gives is of interest only beside embeddings of the server's.
    local = None if server.embeddings is None else run_in(context, sys.executable, "local", images_path, timeout)
    return ServerFacts(
        ran=True,
        version=str(server.result.get("version", "")),
        python=str(server.result.get("python", "")),
        providers=tuple(server.result.get("providers", ())),
        stage=server.stage,
        error=server.error,
        signal=server.signal,
        timeout_seconds=timeout if server.timed_out else None,
        images=0 if server.embeddings is None else len(server.embeddings),
        shape=() if server.embeddings is None else server.embeddings.shape,
        local_version=str(local.result.get("version", "")) if local else "",
        local_stage=local.stage if local else "start",
        local_error=local.error if local else "",
        row_difference=float(server.result.get("row_difference", -1.0)),
        compared=_compare(server.embeddings, local.embeddings) if local else None,
    )


def run_in(
    context: Context, interpreter: str, name: str, images_path: Path, timeout: float, model: Path | None = None
) -> Trial:
    """Run a model in an interpreter.

    Parameters
    ----------
    name
        Of the folder for what the interpreter writes.
    images_path
        A file of numpy: float32 images [K,C,H,W].
    timeout
        Seconds.
    model
        The file that every step runs if not given.
    """
    context.report(f"running the model in {interpreter}")
    folder = context.workdir / f"{name}_runtime"
    folder.mkdir(exist_ok=True)
    model = (model or context.runnable_path).absolute()
    # -I: neither the environment nor the working folder of this process may change what is imported there.
    command = [interpreter, "-I", str(SCRIPT), str(model), str(images_path.absolute()), str(folder.absolute())]
    run = Trial([*command, str(context.options.threads)], folder, timeout)
    run.error = run.error.replace(str(model), model.name)  # a working folder's name says nothing to anybody
    return run


class Trial:
    """One interpreter's run of the script.

    Attributes
    ----------
    result
        What the script wrote down, as far as it got; empty when it did not start.
    error
        The runtime's own words, or a sentence about the process's end.
    embeddings
        [K,D] of the images one by one, None when these did not all run.
    together
        [K,D] of the images in one batch, None when that did not run.
    """

    def __init__(self, command: list[str], folder: Path, timeout: float) -> None:
        self.result: dict[str, Any] = {}
        self.error = ""
        self.signal = ""
        self.timed_out = False
        self.embeddings: npt.NDArray[np.float64] | None = None
        self.together: npt.NDArray[np.float64] | None = None
        written = ""
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=timeout, check=False, cwd=folder, stdin=subprocess.DEVNULL
            )
        except OSError as error:
            self.error = f"the interpreter {command[0]} could not be started: {error.strerror or error}"
            return
        except subprocess.TimeoutExpired:
            self.timed_out = True
            self.error = f"it did not finish within {timeout:g} seconds"
        else:
            written = done.stderr.decode("utf-8", "replace").strip()[-2000:]
            if done.returncode < 0:
                self.signal = _signal_name(-done.returncode)
                self.error = f"the process was killed by {self.signal}"
        self.result = _read(folder / "result.json")
        self.error = self.error or str(self.result.get("error", ""))
        if not self.result and not self.error:
            self.error = f"the script wrote no result; the interpreter said: {written or 'nothing'}"
        elif self.stage != "done" and not self.error:
            self.error = f"it ended without a word: {written or 'no output'}"
        if self.stage in ("batch", "done"):
            self.embeddings = _load(folder / "embeddings.npy")
        if self.stage == "done":
            self.together = _load(folder / "together.npy")

    @property
    def stage(self) -> Stage:
        """How far it got."""
        found = self.result.get("stage")
        return cast("Stage", found) if found in ("load", "run", "batch", "done") else "start"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _load(path: Path) -> npt.NDArray[np.float64] | None:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return np.asarray(found, np.float64) if found.dtype.kind in "biuf" and found.ndim == 2 else None


def _compare(one: npt.NDArray[np.float64] | None, other: npt.NDArray[np.float64] | None) -> Comparison | None:
    """Return how far the embeddings [K,D] of two runtimes lie apart; NaN counts as a cosine of -1."""
    if one is None or other is None or one.shape != other.shape or one.size == 0:
        return None
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    with np.errstate(all="ignore"):
        cosines = np.sum(one * other, axis=1) / norms
        difference = np.max(np.abs(one - other))
    same_zero = (norms == 0) & (one == other).all(axis=1)
    cosines = np.where(same_zero, 1.0, np.nan_to_num(cosines, nan=-1.0))
    return Comparison(
        least_cosine=float(cosines.min()),
        max_difference=float(np.nan_to_num(difference, nan=np.finfo(float).max)),
        max_value=float(np.nan_to_num(np.abs(one).max(), nan=np.finfo(float).max)),
    )


def images(context: Context) -> npt.NDArray[np.float32]:
    """Return seeded random images [IMAGES,C,H,W], normalised as the server would feed them.

    C, H and W are those that the model declares; 3x112x112 where it declares none.
    """
    shape = _input_shape(context.model.graph)
    found = context.facts.get(PreprocessingFacts)
    mean, std = (found.server_mean, found.server_std) if found else (127.5, 127.5)
    pixels = np.random.default_rng(context.options.seed).integers(0, 256, (IMAGES, *shape))
    return ((pixels - mean) / std).astype(np.float32)


def _input_shape(graph: onnx.GraphProto) -> list[int]:
    stored = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name not in stored:
            dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]
            standard = [3, 112, 112]
            if len(dims) == 3 and math.prod(dims) <= MAX_PIXELS:
                return [given or usual for given, usual in zip(dims, standard, strict=True)]
    return [3, 112, 112]
