"""Draws the training images, trains the demo's network on them and writes `model.onnx` beside this file.

Needs PyTorch and onnx besides what `make_world.py` needs. One CPU thread, some minutes:
`python train.py`. The same seed gives the same network on the same machine and PyTorch version.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from faces import GROUPS, stream
from make_world import HERE, SEED, encode, person, snap
from network import CosFace, MobileFaceNet
from PIL import Image
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPSET = 11
IR_VERSION = 6  # what opset 11 came with; onnxruntime 1.6 loads up to 7
_BATCH = 64
_RATE = 0.1
_MASKED_SHARE = 0.15


def draw_images(people: int, each: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw the training images: [people * each, 3, 112, 112], with the person's number as label.

    Every fifth person is a child; the share `_MASKED_SHARE` of the images wears a mask.
    """
    images = np.empty((people * each, 3, 112, 112), dtype=np.uint8)
    labels = np.repeat(np.arange(people), each)
    for index in range(people):
        child = index % 5 == 4
        face = person("train", index, group=GROUPS[index % 4], child=child)
        rng = stream(SEED, 100, index)
        age = int(rng.integers(2, 17)) if child else int(rng.integers(18, 71))
        for number in range(each):
            masked = bool(rng.random() < _MASKED_SHARE)
            data = encode(snap(face, "train", index, number, age=age, masked=masked))
            with Image.open(io.BytesIO(data)) as image:
                images[index * each + number] = np.asarray(image).transpose(2, 0, 1)
    return images, labels


def train(images: NDArray[np.uint8], labels: NDArray[np.int64], epochs: int) -> MobileFaceNet:
    """Train with stochastic gradient descent, one cycle of the learning rate, and mirrored images."""
    torch.manual_seed(SEED)
    network = MobileFaceNet()
    _lay_out(network, torch.channels_last)
    head = CosFace(int(labels.max()) + 1)
    optimiser = torch.optim.SGD(
        [*network.parameters(), *head.parameters()], lr=_RATE, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    steps = len(labels) // _BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=epochs * steps, pct_start=0.2)
    rng = stream(SEED, 104)
    started = time.monotonic()
    for epoch in range(epochs):
        order = rng.permutation(len(labels))
        total = hits = 0.0
        for step in range(steps):
            chosen = order[step * _BATCH : (step + 1) * _BATCH]
            batch = torch.from_numpy(images[chosen]).float().sub(127.5).div(127.5)
            batch = torch.where(torch.from_numpy(rng.random((_BATCH, 1, 1, 1)) < 0.5), batch, batch.flip(3))
            targets = torch.from_numpy(labels[chosen])
            logits = head(network(batch.contiguous(memory_format=torch.channels_last)), targets)
            loss = nn.functional.cross_entropy(logits, targets)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
            hits += float((logits.detach().argmax(1) == targets).float().mean())
        print(
            f"epoch {epoch + 1}/{epochs}: loss {total / steps:.3f}, right {hits / steps:.3f}, "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
    network.eval()
    return network


def _lay_out(network: nn.Module, memory: torch.memory_format) -> None:
    """Set the memory layout of the four-dimensional weights; channels last trains a third faster on a CPU."""
    for weight in network.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=memory)


def export(network: MobileFaceNet, path: Path) -> None:
    """Write one ONNX file: input [N, 3, 112, 112], RGB in -1..1; output [N, EMBEDDING]."""
    _lay_out(network, torch.contiguous_format)
    # dynamo=False: the TorchScript exporter writes opset 11 itself, without a conversion afterwards.
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, 112, 112),),
        path,
        dynamo=False,
        opset_version=OPSET,
        input_names=["input"],
        output_names=["embedding"],
        dynamic_axes={"input": {0: "batch"}, "embedding": {0: "batch"}},
    )
    model = onnx.load(path)
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=600)
    parser.add_argument("--each", type=int, default=16, help="images of each person")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "model.onnx")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    images, labels = draw_images(options.people, options.each)
    print(f"{len(labels)} images of {options.people} people, {time.monotonic() - started:.0f} s", flush=True)
    export(train(images, labels, options.epochs), options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes, {time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    main()
