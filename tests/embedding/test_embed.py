import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from pytest_facechallenge.embedding import Embedded, Embedder, EmbeddingError, Preprocessing, embed
from pytest_facechallenge.embedding.embedder import Float32Array, model_hash
from pytest_facechallenge.embedding.image import decode, fill
from pytest_facechallenge.embedding.progress import Progress, duration, heartbeat
from pytest_facechallenge.embedding.store import ChunkStore, RunKey
from pytest_facechallenge.inference import input_slots
from pytest_facechallenge.inference.input_slots import Slot, Slots
from pytest_facechallenge.inference.session import CPU, DeviceError
from pytest_facechallenge.testsets.model import ImageBlobs
from tests.analyses.accuracy import world

MODULE = "pytest_facechallenge.embedding.pipeline"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return world.model(tmp_path / "model.onnx")


@pytest.fixture
def blobs() -> list[bytes]:
    return [blob for images in world.people(15, 2) for blob in images]


def run(model: Path, blobs: list[bytes], tmp_path: Path, *, cache: bool = True, batch: int = 4, **how: Any) -> Embedded:
    embedder = Embedder(model, device="cpu", threads=1, batch=batch)
    root = tmp_path / "cache" if cache else None
    return embed(embedder, ImageBlobs(blobs), Preprocessing(**how), cache=root, workdir=tmp_path, workers=2)


def by_hand(model: Path, blobs: list[bytes]) -> Float32Array:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    inputs = np.empty((len(blobs), 3, 112, 112), np.float32)
    for slot, blob in zip(inputs, blobs, strict=True):
        fill(slot, decode(blob), Preprocessing())
    rows: Float32Array = session.run(None, {"input": inputs})[0]
    return rows


@pytest.mark.parametrize("chunk", [512, 8, 7])
def test_every_image_gets_its_own_embedding(
    model: Path, blobs: list[bytes], tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.CHUNK", chunk)
    found = run(model, blobs, tmp_path)
    assert np.allclose(found.rows, by_hand(model, blobs), rtol=1e-5, atol=1e-4)
    assert found.usable.all()
    assert (found.computed, found.cached) == (30, 0)


def test_a_fixed_batch_is_filled_up(blobs: list[bytes], tmp_path: Path) -> None:
    model = world.model(tmp_path / "fixed.onnx", batch=4)
    assert np.allclose(run(model, blobs, tmp_path, batch=32).rows, by_hand_one_by_four(model, blobs), atol=1e-4)


def by_hand_one_by_four(model: Path, blobs: list[bytes]) -> Float32Array:
    padded = blobs + blobs[-1:] * (-len(blobs) % 4)
    parts = [by_hand(model, padded[start : start + 4]) for start in range(0, len(padded), 4)]
    return np.concatenate(parts)[: len(blobs)]


@pytest.mark.parametrize("fixed", [None, 4])
def test_batches_that_wait_on_a_device_give_the_same(
    blobs: list[bytes], tmp_path: Path, fixed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = world.model(tmp_path / "model.onnx", batch=fixed) if fixed else world.model(tmp_path / "model.onnx")
    damaged = [*blobs[:5], b"nothing", *blobs[5:]]
    expected = run(model, damaged, tmp_path, cache=False)
    monkeypatch.setattr(input_slots, "has_memory_of_its_own", lambda _provider: True)  # arrays of the runtime, as there
    found = run(model, damaged, tmp_path, cache=False)
    assert np.array_equal(found.rows, expected.rows, equal_nan=True)
    assert np.count_nonzero(~found.usable) == 1


def test_a_slot_is_waited_for_and_used_again() -> None:
    slots = Slots((2, 3), CPU, 2)
    first, second = slots.take(), slots.take()
    assert first is not second
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(slots.take)
        assert not waiting.done()
        slots.give_back(second)
        assert waiting.result(10) is second


@pytest.mark.parametrize("chunk", [512, 4])
def test_unusable_images_are_listed_and_do_not_shift_the_others(
    model: Path, blobs: list[bytes], tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.CHUNK", chunk)
    damaged = list(blobs)
    damaged[3] = b"nothing"
    damaged[9] = world.encode(np.zeros((50, 60, 3), np.uint8))
    for _ in range(2):  # computed, then from the cache
        found = run(model, damaged, tmp_path)
        assert [(problem.index, problem.kind) for problem in found.problems] == [(3, "unreadable"), (9, "size")]
        assert "60x50" in found.problems[1].what
        good = [number for number in range(30) if number not in (3, 9)]
        assert found.usable[good].all()
        assert not found.usable[[3, 9]].any()
        assert np.isnan(found.rows[[3, 9]]).all()
        assert np.allclose(found.rows[good], by_hand(model, [blobs[number] for number in good]), rtol=1e-5, atol=1e-4)
    assert found.cached == 30


def test_no_usable_image_is_an_error(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"none of the 2 images can be used; the first: image 0: not an image"):
        run(model, [b"a", b"b"], tmp_path)


def test_a_second_run_computes_nothing(
    model: Path, blobs: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(model, blobs, tmp_path)
    monkeypatch.setattr(Embedder, "run", forbidden)
    second = run(model, blobs, tmp_path)
    assert np.array_equal(first.rows, second.rows)
    assert (second.computed, second.cached) == (0, 30)


def forbidden(self: Embedder, slot: Slot, count: int) -> Float32Array:
    raise AssertionError("the model must not run")


@pytest.mark.parametrize(
    "change",
    ["model", "image", "order", "mean", "std", "colour", "mirror", "batch", "provider", "runtime", "decoder"],
)
def test_whatever_the_numbers_depend_on_makes_another_entry(
    model: Path, blobs: list[bytes], tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(model, blobs, tmp_path)
    values: dict[str, Any] = {"mean": 0.0, "std": 1.0, "colour": "BGR", "mirror": True}
    how = {change: values[change]} if change in values else {}
    if change == "model":
        model = world.model(tmp_path / "other.onnx", seed=2)
    if change == "image":
        blobs = [blobs[1], *blobs[1:]]
    if change == "order":
        blobs = blobs[::-1]
    if change == "decoder":
        monkeypatch.setattr("pytest_facechallenge.embedding.image.DECODER", "another")
    if change in ("provider", "runtime"):
        plain = Embedder.__init__

        def other(self: Embedder, *arguments: Any, **settings: Any) -> None:
            plain(self, *arguments, **settings)
            setattr(self, change, "another")

        monkeypatch.setattr(Embedder, "__init__", other)
    found = run(model, blobs, tmp_path, batch=5 if change == "batch" else 4, **how)
    assert found.cached == 0


def test_external_weights_are_part_of_the_model(tmp_path: Path) -> None:
    import onnx

    model = world.model(tmp_path / "model.onnx", width=64)
    onnx.save(
        onnx.load(model), tmp_path / "side.onnx", save_as_external_data=True, location="side.bin", size_threshold=0
    )
    before = model_hash(tmp_path / "side.onnx")
    raw = bytearray((tmp_path / "side.bin").read_bytes())
    raw[0] ^= 1
    (tmp_path / "side.bin").write_bytes(raw)
    assert model_hash(tmp_path / "side.onnx") != before


def chunk_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").rglob("*.chunk"))


def flip_a_bit(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


def cut(raw: bytes) -> bytes:
    return raw[:-100]


def cut_in_header(raw: bytes) -> bytes:
    return raw[:40]


def foreign(_raw: bytes) -> bytes:
    return b"some other file"


@pytest.mark.parametrize("damage", [flip_a_bit, cut, cut_in_header, foreign])
def test_a_damaged_entry_is_computed_again(
    model: Path, blobs: list[bytes], tmp_path: Path, damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.CHUNK", 8)
    first = run(model, blobs, tmp_path)
    victim = chunk_files(tmp_path)[1]
    victim.write_bytes(damage(victim.read_bytes()))
    second = run(model, blobs, tmp_path)
    assert np.array_equal(first.rows, second.rows)
    assert second.computed in (8, 6)
    assert len(second.damaged) == 1
    assert run(model, blobs, tmp_path).computed == 0


def test_an_entry_under_another_s_name_is_computed_again(
    model: Path, blobs: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.CHUNK", 10)
    first = run(model, blobs, tmp_path)
    one, two, _three = chunk_files(tmp_path)
    one.write_bytes(two.read_bytes())
    second = run(model, blobs, tmp_path)
    assert np.array_equal(first.rows, second.rows)
    assert second.computed == 10
    assert "it holds the chunk" in second.damaged[0]


def test_an_interrupted_run_goes_on_where_it_was(
    model: Path, blobs: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.CHUNK", 8)
    whole = run(model, blobs, tmp_path, cache=False)
    plain = Embedder.run
    calls = 0

    def interrupted(self: Embedder, slot: Slot, count: int) -> Float32Array:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return plain(self, slot, count)

    monkeypatch.setattr(Embedder, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(model, blobs, tmp_path)
    assert len(chunk_files(tmp_path)) == 2
    resumed = run(model, blobs, tmp_path)
    assert (resumed.computed, resumed.cached) == (14, 16)
    assert np.array_equal(resumed.rows, whole.rows)


def test_of_two_that_want_the_same_one_computes(model: Path, blobs: list[bytes], tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _number: run(model, blobs, tmp_path), range(2))
    assert sorted([first.computed, second.computed]) == [0, 30]
    assert np.array_equal(first.rows, second.rows)


def test_without_a_cache_nothing_is_left(model: Path, blobs: list[bytes], tmp_path: Path) -> None:
    run(model, blobs, tmp_path, cache=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx"]


def test_a_large_result_is_memory_mapped(
    model: Path, blobs: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(model, blobs, tmp_path).rows
    monkeypatch.setattr("pytest_facechallenge.embedding.matrix.MEMORY_BYTES", 100)
    found = run(model, blobs, tmp_path).rows
    assert isinstance(found, np.memmap)
    assert np.array_equal(found, expected)


def test_a_model_that_swallows_the_batch_is_told_so(blobs: list[bytes], tmp_path: Path) -> None:
    model = world.model(tmp_path / "rows.onnx", broken="rows")
    with pytest.raises(EmbeddingError, match=r"a batch of 4 images must give 4 embeddings; .* shape \[1, 128\]"):
        run(model, blobs, tmp_path)


def test_a_model_that_does_not_load_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(EmbeddingError, match=r"does not load broken\.onnx"):
        Embedder(path, device="cpu")


def test_an_unknown_device_is_told_so(model: Path) -> None:
    with pytest.raises(DeviceError, match="there is no device 'abacus'"):
        Embedder(model, device="abacus")


def test_progress_says_how_far_how_fast_and_how_long_still() -> None:
    now = 0.0
    lines: list[str] = []
    progress = Progress(1000, "embedding mask", lines.append, lambda: now)
    progress.advance(100, cached=True)
    assert lines == []
    now = 4.0
    progress.advance(100)
    assert lines == ["embedding mask: 200 of 1,000 images (100 from the cache), 25.0/s, 32 s left"]
    now = 4.5
    progress.advance(700)
    assert len(lines) == 1
    progress.advance(100)
    assert lines[-1] == "embedding mask: 1,000 of 1,000 images (100 from the cache), 200.0/s"


@pytest.mark.parametrize(("seconds", "text"), [(8.2, "8 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_computation_without_progress_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_facechallenge.embedding.progress.INTERVAL", 0.001)
    lines: list[str] = []
    seen = threading.Event()

    def report(line: str) -> None:
        lines.append(line)
        seen.set()

    with heartbeat(report, "scoring mask"):
        assert seen.wait(10)
    assert lines[0] == "scoring mask, 0 s so far"
    count = len(lines)
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]
    assert len(lines) == count


def test_who_waits_for_another_process_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_facechallenge.embedding.store.WAIT", 0.01)
    key = RunKey(model_sha256="m", preprocessing=Preprocessing(), decoder="d", provider="p", runtime="r", batch=1)
    waited = threading.Event()
    released = threading.Event()
    with ThreadPoolExecutor(1) as pool:

        def second() -> None:
            with ChunkStore(tmp_path, key).lock(waited.set):
                assert released.is_set()

        with ChunkStore(tmp_path, key).lock():
            other = pool.submit(second)
            assert waited.wait(10)
            released.set()
        other.result(10)
