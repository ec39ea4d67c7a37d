"""Embedding throughput: the pipeline, from files on disk, against bare onnxruntime loops over ready arrays.

``python -m benchmarks.embedding`` builds an iResNet-50 and images in a temporary folder, runs all ways in turns in
one process, and prints images a second, seconds of processor time (all threads; steadier on a shared machine), and
the ratios of the medians. The aim is a throughput of at least 0.97 of the bare loop's (``session.run``). On a GPU
there is a second loop, whose inputs lie on the device before its clock starts: no pipeline is faster than that.

    python -m benchmarks.embedding --device cuda --images 8192 --batch 64          on a GPU
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from pytest_facechallenge.embedding import Embedder, Preprocessing, embed
from pytest_facechallenge.embedding.image import decode, fill
from pytest_facechallenge.inference.input_slots import Slot, has_memory_of_its_own
from pytest_facechallenge.refnets import save
from pytest_facechallenge.testsets.model import ImageFiles


def make_images(folder: Path, count: int) -> ImageFiles:
    """Write JPEG images with the detail of faces: smooth noise, quality 95."""
    rng = np.random.default_rng(0)
    names = []
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 256, size=(28, 28, 3), dtype=np.uint8))
        small.resize((112, 112), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=95)
        names.append(f"{number}.jpg")
    return ImageFiles(folder, names)


def ready_batches(images: ImageFiles, batch: int) -> list[npt.NDArray[np.float32]]:
    inputs = np.empty((len(images), 3, 112, 112), np.float32)
    for index in range(len(images)):
        fill(inputs[index], decode(images.read(index)), Preprocessing())
    return [np.ascontiguousarray(inputs[start : start + batch]) for start in range(0, len(inputs), batch)]


def bare_loop(embedder: Embedder, batches: list[npt.NDArray[np.float32]]) -> None:
    name = embedder.ort_session.get_inputs()[0].name
    for inputs in batches:
        embedder.ort_session.run(None, {name: inputs})


def resident_loop(embedder: Embedder, slots: list[Slot], outputs: int) -> None:
    """Run on inputs that are where the model runs already."""
    for slot in slots:
        embedder.run(slot, outputs)


def resident_slots(embedder: Embedder, batches: list[npt.NDArray[np.float32]]) -> list[Slot]:
    """Put as many whole batches as there are, at most 64, where the model runs."""
    whole = [inputs for inputs in batches if len(inputs) == embedder.batch]
    room = embedder.slots(len(whole[:64]))
    found = []
    for inputs in whole[:64]:
        slot = room.take()
        slot.host[:] = inputs
        slot.upload()
        found.append(slot)
    return found


def pipeline(embedder: Embedder, images: ImageFiles, workdir: Path, cache: Path) -> None:
    found = embed(embedder, images, Preprocessing(), cache=cache, workdir=workdir)
    if found.computed != len(images):
        raise RuntimeError("the cache was used, so this measured nothing")


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds of wall clock and of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="iresnet50")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "images").mkdir()
        images = make_images(root / "images", arguments.images)
        save(arguments.network, root / "model.onnx")
        embedder = Embedder(root / "model.onnx", device=arguments.device, batch=arguments.batch)
        batches = ready_batches(images, arguments.batch)
        bare_loop(embedder, batches[:2])  # the first runs allocate
        slots = resident_slots(embedder, batches) if has_memory_of_its_own(embedder.provider) else []
        if slots:
            resident_loop(embedder, slots[:2], embedder.batch)
        counts = dict.fromkeys(("bare loop", "pipeline"), arguments.images)
        if slots:
            counts["on device"] = len(slots) * embedder.batch
        times: dict[str, list[tuple[float, float]]] = {way: [] for way in counts}
        for number in range(arguments.rounds):
            cache = root / f"cache{number}"
            ways = {
                "bare loop": partial(bare_loop, embedder, batches),
                "pipeline": partial(pipeline, embedder, images, root, cache),
            }
            if slots:
                ways["on device"] = partial(resident_loop, embedder, slots, embedder.batch)
            for way in sorted(ways, reverse=bool(number % 2)):
                times[way].append(timed(ways[way]))
        print(
            f"{arguments.network}, {arguments.images} JPEG files, batch {arguments.batch}, {embedder.provider}, "
            f"onnxruntime {onnxruntime.__version__}, {platform.machine()}, {os.cpu_count()} processors"
        )
        wall, processor = {}, {}
        for way, measured in times.items():
            rates = sorted(counts[way] / seconds for seconds, _processor in measured)
            wall[way] = statistics.median(rates)
            processor[way] = statistics.median(each for _seconds, each in measured)
            print(
                f"{way:10} {wall[way]:8.2f} images/s (from {rates[0]:.2f} to {rates[-1]:.2f}), "
                f"{processor[way]:.2f} s of processor time"
            )
        print(f"throughput, pipeline / bare loop: {wall['pipeline'] / wall['bare loop']:.3f}")
        if slots:
            print(f"throughput, pipeline / inputs on the device: {wall['pipeline'] / wall['on device']:.3f}")
        print(f"processor time, pipeline / bare loop: {processor['pipeline'] / processor['bare loop']:.3f}")


if __name__ == "__main__":
    main()
