"""Results of parts in files, so that a verification that was stopped goes on, and other machines can leave theirs.

A folder belongs to one job: the same features, identities, pairs and number of scores, and the same arithmetic. It is
named by a digest of all of these, so nothing has to be invalidated. A file is written whole and carries a checksum: one
that is damaged, cut off or another part's is scanned again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_facechallenge.core.files import read_regular
from pytest_facechallenge.verification.errors import StateError
from pytest_facechallenge.verification.false_accepts import SampledAccepts
from pytest_facechallenge.verification.parts import Part, PartResult
from pytest_facechallenge.verification.tail import TailContents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from pytest_facechallenge.verification.protocol import PairPlan

_MAGIC = b"facechallenge-verification-part/2\n"
_DIGEST = hashlib.sha256().digest_size
_MOST_BYTES = 8 << 30
_GUESSES = "guesses.json"
_READ_ELEMENTS = 1 << 21
#: The arrays of a part, in the order in which they stand in its file.
_ARRAYS = (
    ("top", "<f8"), ("surplus", "<f8"), ("counts", "<i8"), ("sampled", "<f8"), ("one", "<i8"), ("other", "<i8"),
    ("scores", "<f8"), ("left", "<i8"), ("right", "<i8"),
)  # fmt: skip


def features_digest(embeddings: npt.NDArray[Any]) -> str:
    """Return the BLAKE2b of the values of float32 embeddings [N, D], read a few MB at a time."""
    found = hashlib.blake2b(repr(embeddings.shape).encode(), digest_size=32)
    rows = np.asarray(embeddings)
    step = max(1, _READ_ELEMENTS // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        found.update(np.ascontiguousarray(rows[start : start + step], dtype="<f4").data)
    return found.hexdigest()


def job_digest(features: str, plan: PairPlan, keep: int, hardest: int) -> str:
    """Return what names a job: everything that the result of one of its parts depends on.

    The version of numpy and the processor's kind are among it: both decide in which order a float64 product is summed.
    """
    found = hashlib.blake2b(digest_size=16)
    numbers = [keep, hardest, plan.symmetric]
    found.update(repr((_MAGIC, features, numbers, np.__version__, platform.machine())).encode())
    for side in (plan.left,) if plan.symmetric else (plan.left, plan.right):
        for array in (side.rows, side.identities):
            found.update(np.ascontiguousarray(array, dtype="<i8").data)
    return found.hexdigest()


class PartFiles:
    """The folder of one job.

    Parameters
    ----------
    root
        Folder of all jobs; made where it is missing.
    job
        See `job_digest`.

    Attributes
    ----------
    damaged
        Files that were there but wrong, a sentence each; their parts are scanned again.

    Raises
    ------
    StateError
        The folder cannot be made.
    """

    def __init__(self, root: Path, job: str) -> None:
        self.job = job
        self.folder = root / job
        self.damaged: list[str] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"the state of the verification cannot be kept in {root}: {error}") from error

    def path(self, part: Part) -> Path:
        """Return where the result of a part lies."""
        return self.folder / f"{part.number:06}.part"

    def guesses(self, make: Callable[[], Iterable[float]]) -> list[float]:
        """Return the guessed cutoffs of the job, made once: on another processor a guess may differ in its last digits.

        Under a guess that is lower by as little, nothing that was found before could be used.
        """
        path = self.folder / _GUESSES
        with contextlib.suppress(OSError, ValueError, TypeError):
            found = [float(each) for each in json.loads(read_regular(path, 1 << 12))]
            if found and found[-1] == -np.inf:
                return found
        made = list(make())
        self._write(path, json.dumps(made).encode("ascii"))
        return made

    def get(self, part: Part) -> PartResult | None:
        """Return the result of a part, or None where it is not there or not what its name says."""
        path = self.path(part)
        try:
            raw = read_regular(path, _MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.damaged.append(f"{path.name}: {error}")
            return None
        try:
            return self._unpack(raw, part)
        except (ValueError, KeyError, TypeError, struct.error) as error:
            self.damaged.append(f"{path.name}: {error}")
            return None

    def put(self, part: Part, result: PartResult) -> None:
        """Keep the result of a part; a reader sees all of it or nothing.

        Raises
        ------
        StateError
            It cannot be written. What was kept before stays.
        """
        tail, sample = result.tail, result.sample
        arrays = (
            tail.top, tail.surplus, tail.surplus_counts, sample.scores, sample.one, sample.other,
            result.scores, result.left, result.right,
        )  # fmt: skip
        header = json.dumps(
            {
                **self._about(part),
                "start": result.start,
                "backend": result.backend,
                "lengths": [len(array) for array in arrays],
            }
        ).encode()
        content = struct.pack("<I", len(header)) + header
        content += b"".join(
            np.ascontiguousarray(array, dtype=kind).tobytes()
            for array, (_name, kind) in zip(arrays, _ARRAYS, strict=True)
        )
        self._write(self.path(part), _MAGIC + hashlib.sha256(content).digest() + content)

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.with_suffix(f".{platform.node()}-{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            message = (
                f"the state of the verification cannot be kept in {self.folder}: {error.strerror or error}; what was "
                "finished before is there, and the same call goes on from it"
            )
            raise StateError(message) from error

    def _about(self, part: Part) -> dict[str, Any]:
        where = [part.number, part.left_start, part.left_stop, part.right_start, part.right_stop]
        return {"job": self.job, "part": where}

    def _unpack(self, raw: bytes, part: Part) -> PartResult:
        head = len(_MAGIC) + _DIGEST
        content = raw[head:]
        if not raw.startswith(_MAGIC) or hashlib.sha256(content).digest() != raw[len(_MAGIC) : head]:
            raise ValueError("its checksum does not fit")
        (length,) = struct.unpack_from("<I", content)
        header = json.loads(content[4 : 4 + length])
        if {name: header[name] for name in ("job", "part")} != self._about(part):
            raise ValueError("it is of another part")
        at = 4 + length
        arrays: dict[str, Any] = {}
        for (name, kind), count in zip(_ARRAYS, header["lengths"], strict=True):
            arrays[name] = np.frombuffer(content, kind, count, at)
            at += 8 * count
        return PartResult(
            TailContents(arrays["top"], arrays["surplus"], arrays["counts"]),
            SampledAccepts(arrays["sampled"], arrays["one"], arrays["other"]),
            arrays["scores"],
            arrays["left"],
            arrays["right"],
            float(header["start"]),
            str(header["backend"]),
        )
