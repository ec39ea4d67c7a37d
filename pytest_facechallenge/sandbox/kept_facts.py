"""Facts that outlive a run: kept by everything they depend on, so that an audit goes on where it was stopped.

A folder of them may be shared by runs at the same time. Files are written whole and carry a checksum: one that was cut,
changed or put in another's place is gathered anew. What this machine failed at (a full disk, a process that was ended
from outside, a device that is missing) is never kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.analysis import PACKAGE
from pytest_facechallenge.core.facts.base import FailureKind, StepFailure
from pytest_facechallenge.core.files import read_regular
from pytest_facechallenge.core.run_options import AnalysisOptions, RunOptions
from pytest_facechallenge.sandbox.process import Limits
from pytest_facechallenge.sandbox.results import MOST_BYTES, read_result, result_path, write_atomically
from pytest_facechallenge.sandbox.step_keys import identity_of, step_keys

#: Failures that would come again: by the submission, or by the limits that the run sets.
_KEPT = frozenset(FailureKind) - {FailureKind.DEVICE, FailureKind.KILLED, FailureKind.MACHINE}
_VERSION = 1
_MARK = f"{PACKAGE} facts {_VERSION}\n".encode()


class _Beside(msgspec.Struct, frozen=True):
    """Names of the files beside a submission that belong to it."""

    names: tuple[str, ...]


class KeptFacts:
    """A folder of kept facts.

    Parameters
    ----------
    folder
        It is made where it is missing.
    options, typed, limits
        Of the run: what facts depend on beside the submission.
    found
        Sources that nobody named, because they were found in a folder; nothing is kept of a link among them.

    Attributes
    ----------
    trouble
        Why facts could not be kept, "" while all could.
    """

    def __init__(
        self,
        folder: Path,
        options: RunOptions,
        typed: Mapping[str, AnalysisOptions | None],
        limits: Limits,
        found: frozenset[Path] = frozenset(),
    ) -> None:
        self.folder = folder
        self.options = options
        self.typed = dict(typed)
        self.limits = limits
        self.found = found
        self.trouble = ""
        self._taken: dict[Path, frozenset[str]] = {}
        self._lock = threading.Lock()
        self._identities: dict[Path, str] = {}
        self._keys: dict[Path, dict[str, str]] = {}

    def restore(self, source: Path, facts_dir: Path, steps: Iterable[str]) -> list[str]:
        """Put kept facts of ``steps`` into a run's folder, and return the steps that there were some for."""
        keys = self._keys.get(source) or self._keys_of(source)
        restored = []
        for step in _lasting(steps) if keys else ():
            found = self._read(self._path(keys[step])) or self._read(self._failure_path(keys[step]))
            if found is None:
                continue
            try:
                write_atomically(result_path(facts_dir, step), found)
            except OSError:  # of the run's own folder: gathering meets the same, and says whose fault it is
                break
            restored.append(step)
        self._taken[source] = self.taken_of(source) | frozenset(restored)
        return restored

    def taken_of(self, source: Path) -> frozenset[str]:
        """Return the steps whose facts about a submission were taken from the folder."""
        return self._taken.get(source, frozenset())

    def keep(self, source: Path, facts_dir: Path, steps: Iterable[str]) -> None:
        """Keep what a run has gathered so far of ``steps``; what is kept already is left alone.

        Nothing is kept of a submission that is another one than when it was looked at first.
        """
        there = [step for step in _lasting(steps) if result_path(facts_dir, step).exists()]
        if not there or self.trouble:
            return
        try:
            if self.is_the_same(source, facts_dir):
                for step in there:
                    self._add(self._keys[source][step], step, facts_dir)
        except OSError as error:
            # The run goes on: it has the facts. Only the next one will have to gather them again.
            self.trouble = f"facts cannot be kept in {self.folder}: {error.strerror or error}"

    def is_the_same(self, source: Path, facts_dir: Path) -> bool:
        """Whether what was copied is what the keys were made for; they are made anew where side files were unknown."""
        results = (read_result(facts_dir, name, step.facts_type()) for name, step in STEPS.items() if step.leaves_files)
        said = [each for each in results if each is not None and not isinstance(each, StepFailure)]
        content = "".join(each.identity() for each in said)
        beside = tuple(name for each in said for name in each.beside())
        identity = self._identities.get(source, "")
        if not content or not identity:
            return False
        if not identity.startswith(f"{content}\n\n") and beside:
            self._remember(identity, beside)
            identity = self._identities[source] = identity_of(source, beside)
            self._keys[source] = self._made(source, identity)
        return identity.startswith(f"{content}\n\n")

    def _keys_of(self, source: Path) -> dict[str, str]:
        """Look at the submission and return the keys of its steps; nothing where it cannot be read."""
        identity = "" if source in self.found and source.is_symlink() else identity_of(source, ())
        if not identity:
            return {}
        beside = self._read(self._beside_path(identity))
        if beside is not None:
            identity = identity_of(source, msgspec.json.decode(beside, type=_Beside).names)
        self._identities[source] = identity
        self._keys[source] = self._made(source, identity)
        return self._keys[source]

    def _made(self, source: Path, identity: str) -> dict[str, str]:
        return step_keys(source, identity, self.options, self.typed, found=source in self.found)

    def _remember(self, identity: str, beside: tuple[str, ...]) -> None:
        self._write(self._beside_path(identity), msgspec.json.encode(_Beside(beside)))

    def _add(self, key: str, step: str, facts_dir: Path) -> None:
        result = read_result(facts_dir, step, STEPS[step].facts_type())
        if result is None or (isinstance(result, StepFailure) and result.kind not in _KEPT):
            return
        path = self._failure_path(key) if isinstance(result, StepFailure) else self._path(key)
        if not path.exists():
            self._write(path, result_path(facts_dir, step).read_bytes())

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.facts"

    def _failure_path(self, key: str) -> Path:
        """Where a failure lies: under other limits the step may succeed."""
        bound = hashlib.sha256(key.encode() + msgspec.json.encode(self.limits)).hexdigest()
        return self.folder / bound[:2] / f"{bound}.failure"

    def _beside_path(self, identity: str) -> Path:
        name = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / name[:2] / f"{name}.beside"

    def _write(self, path: Path, data: bytes) -> None:
        with self._lock:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, _MARK + _checksum(path, data) + data)

    def _read(self, path: Path) -> bytes | None:
        """Return what a file holds; None where there is none or where it is not what was written under its name."""
        try:
            found = read_regular(path, 2 * MOST_BYTES)
        except OSError:
            return None
        head, data = found[: len(_MARK) + 32], found[len(_MARK) + 32 :]
        return data if head == _MARK + _checksum(path, data) else None


def _lasting(steps: Iterable[str]) -> list[str]:
    """Return the steps whose facts are of use to another run."""
    return [step for step in steps if not STEPS[step].file_wanted]


def _checksum(path: Path, data: bytes) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\n" + data).digest()
