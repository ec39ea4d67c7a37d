"""``facechallenge doctor``: what a bug report needs, and what is wrong with this installation."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

from pytest_facechallenge.commands import console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes: nothing."""
    parser.epilog = "Nothing is sent anywhere. The exit code is 1 when something has to be mended."


def run(_arguments: argparse.Namespace) -> int:
    """Print what is there and what is wrong; return 1 when something has to be mended."""
    wrong: list[str] = []
    for heading, lines in (
        ("versions", _versions()),
        ("machine", _machine()),
        ("runtime", _runtime(wrong)),
        ("filters of the verification", _filters()),
        ("sandbox", _sandbox(wrong)),
        ("calibrations of the inference time", _calibrations()),
        ("checks and rulebooks of other packages", _extensions(wrong)),
    ):
        console.write(f"{heading}\n")
        for line in lines:
            console.write(f"  {line}\n")
    console.write("to mend\n" if wrong else "nothing to mend\n")
    for line in wrong:
        console.write(f"  {line}\n")
    return 1 if wrong else 0


def _versions() -> Iterator[str]:
    from pytest_facechallenge.engine.environment import versions

    for name, version in versions().items():
        yield f"{name} {version}"
    yield f"interpreter {sys.executable}"


def _machine() -> Iterator[str]:
    import os
    import platform

    import psutil

    from pytest_facechallenge.engine.environment import gpus
    from pytest_facechallenge.inference.processor import processor_name

    memory = psutil.virtual_memory().total / 2**30
    yield platform.platform()
    yield f"{processor_name()}, {os.cpu_count()} cores, {memory:.1f} GiB of memory"
    yield from (f"GPU {each}" for each in gpus())


def _runtime(wrong: list[str]) -> Iterator[str]:
    from pytest_facechallenge.engine.environment import runtimes_clash

    clash = runtimes_clash()
    if clash:
        wrong.append(clash)
    try:
        import onnxruntime

        yield f"onnxruntime {onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}"
    except Exception as error:  # whatever a broken installation raises is what has to be told
        wrong.append(f"onnxruntime cannot be imported: {type(error).__name__}: {error}")
        yield "cannot be imported"


def _filters() -> Iterator[str]:
    try:
        from pytest_facechallenge.verification.backends import states

        yield from states()
    except Exception as error:  # a broken runtime, which the lines above have told
        yield f"cannot be tried: {error}"


def _sandbox(wrong: list[str]) -> Iterator[str]:
    from pytest_facechallenge.sandbox.abilities import ABILITIES, abilities

    folder = Path(tempfile.gettempdir())
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free / 2**30
        yield f"scratch folders are made in {folder}, {free:.1f} GiB free"
    except OSError as error:
        wrong.append(f"no file can be made in {folder}: {error.strerror or error}; set TMPDIR to another folder")
        return
    for name, has in abilities(folder).items():
        yield f"{'yes' if has else 'no '}  {ABILITIES[name]}"


def _calibrations() -> Iterator[str]:
    from pytest_facechallenge.analyses.latency.calibration import default_folder

    folder = default_folder()
    files = sorted(folder.glob("calibration-*.json"))
    yield f"{folder}: {len(files) or 'none'}"
    for file in files:
        days = (time.time() - file.stat().st_mtime) / 86_400
        yield f"{file.name}, {days:.1f} days old"


def _extensions(wrong: list[str]) -> Iterator[str]:
    from pytest_facechallenge.engine.extensions import CHECKS_GROUP, RULEBOOKS_GROUP, load_checks, load_rulebooks

    found = [entry for group in (CHECKS_GROUP, RULEBOOKS_GROUP) for entry in entry_points(group=group)]
    for entry in found:
        yield f"{entry.group}: {entry.name} = {entry.value}"
    if not found:
        yield "none"
    try:
        load_checks()
        yield f"rulebooks: {', '.join(load_rulebooks())}"
    except ValueError as error:
        wrong.append(str(error))
