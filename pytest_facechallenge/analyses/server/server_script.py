"""Run a model in whatever interpreter this file is started with, and write down what happened.

This file is a program, not a module of the package: it runs in the interpreter of the server's runtime. So it is
written for Python 3.6 and newer and imports nothing but the standard library, numpy and onnxruntime.

    python server_script.py MODEL IMAGES.npy FOLDER THREADS

IMAGES.npy holds float32 images [K,C,H,W]. They are run one by one, then all at once. FOLDER receives
``result.json``, which is written anew at each stage, so that it tells how far things got even when the process is
killed, ``embeddings.npy``, the first output for each image, and ``together.npy``, that of the batch.
"""

import contextlib
import json
import sys
from pathlib import Path


def main(model: str, images_path: str, folder: Path, threads: int) -> None:
    """Load ``model``, run the images, write ``result.json`` and ``embeddings.npy``."""
    result: dict = {"stage": "start", "python": sys.version.split()[0]}  # type: ignore[type-arg]  # for Python 3.6

    def save(**news: object) -> None:
        result.update(news)
        part = folder / "result.json.part"
        part.write_text(json.dumps(result))
        part.replace(folder / "result.json")

    save()
    try:
        import numpy
        import onnxruntime

        save(stage="load", version=onnxruntime.__version__)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        available = onnxruntime.get_available_providers()
        wanted = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
        if tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) < (1, 9):
            session = onnxruntime.InferenceSession(model, options)
        else:
            session = onnxruntime.InferenceSession(model, options, providers=wanted)
        save(stage="run", providers=session.get_providers())
        images = numpy.load(images_path)
        name = session.get_inputs()[0].name
        single = [numpy.asarray(session.run(None, {name: images[i : i + 1]})[0]) for i in range(len(images))]
        numpy.save(str(folder / "embeddings.npy"), numpy.stack([row.reshape(-1) for row in single]))
        save(stage="batch")
        together = numpy.asarray(session.run(None, {name: images})[0])
        numpy.save(str(folder / "together.npy"), together)
        apart = numpy.concatenate(single) if single[0].ndim else numpy.stack(single)
        difference = -1.0
        if together.shape == apart.shape and together.size:
            scale = max(float(numpy.abs(apart).max()), 1e-30)
            difference = float(numpy.abs(together.astype("float64") - apart).max()) / scale
        save(stage="done", row_difference=difference if difference == difference else -1.0)
    except Exception as error:
        save(error=f"{type(error).__name__}: {error}"[:4000])


def end_with_parent() -> None:
    """Ask Linux to end this process when the one that started it ends, so that it never runs on alone."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL


if __name__ == "__main__":
    end_with_parent()
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
