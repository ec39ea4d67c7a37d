"""Recognising what a path holds, from what is there, and reading it into a `Testset`."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from pytest_facechallenge.core.files import identity, kind_of, open_regular
from pytest_facechallenge.testsets.folders import mask_pair, read_identity_folders, read_mask_pair, sub_folders
from pytest_facechallenge.testsets.ijb import is_ijb, read_ijb
from pytest_facechallenge.testsets.insightface_bin import read_insightface_bin
from pytest_facechallenge.testsets.lfr19 import LIST_NAME, is_video_list, read_lfr19_images, read_lfr19_videos
from pytest_facechallenge.testsets.lfw import is_pairs_file, read_lfw_pairs
from pytest_facechallenge.testsets.manifest import read_manifest
from pytest_facechallenge.testsets.model import Form, Testset, TestsetError, default_name, image_names, shortened

MANIFEST_NAMES = ("manifest.csv", "manifest.tsv")
PAIRS_NAMES = ("pairs.txt", "pairs.csv")

EXPECTED = (
    "a folder with one sub-folder per identity; a folder with exactly 'mask' and 'nonmask', each with one sub-folder "
    "per identity; a manifest (.csv or .tsv, or a folder with manifest.csv); an InsightFace verification file (.bin); "
    "LFW's pairs.txt beside its images (lines 'person number number', 'person number person number' or 'path path 1'); "
    "an IJB-B/C folder (meta/*_face_tid_mid.txt, meta/*_template_pair_label.txt); "
    "or LFR19's filelist.txt beside its images or videos"
)

_READERS: dict[Form, Callable[[Path, str], Testset]] = {
    "identity folders": read_identity_folders,
    "mask pair": read_mask_pair,
    "manifest": read_manifest,
    "InsightFace bin": read_insightface_bin,
    "LFW pairs": read_lfw_pairs,
    "IJB": read_ijb,
    "LFR19 images": read_lfr19_images,
    "LFR19 videos": read_lfr19_videos,
}


def recognise(path: Path) -> tuple[Form, Path]:
    """Say what kind of testset ``path`` is, and which file or folder to read; opens nothing but first lines.

    Raises
    ------
    TestsetError
        It does not exist, or is of no known kind; the message lists the known kinds and what was found.
    """
    try:
        return _recognise(path)
    except OSError as error:
        raise TestsetError(f"{path}: it cannot be read: {error}") from error


def _recognise(path: Path) -> tuple[Form, Path]:
    if path.is_dir():
        return _recognise_folder(path)
    if not path.exists():
        raise TestsetError(f"{path}: no such file or folder; expected {EXPECTED}")
    if not path.is_file():
        raise TestsetError(f"{path}: a file or folder is expected, found {kind_of(path.stat().st_mode)}")
    suffix = path.suffix.lower()
    if suffix in (".txt", ".csv") and path.name != LIST_NAME and is_pairs_file(path):
        return "LFW pairs", path
    if suffix in (".csv", ".tsv"):
        return "manifest", path
    if suffix == ".bin":
        if is_feature_file(path):
            raise TestsetError(
                f"{path}: this is an LFR19 feature file, not a testset; give it as --facechallenge-features {path}"
            )
        return "InsightFace bin", path
    if path.name == LIST_NAME:
        return ("LFR19 videos" if is_video_list(path) else "LFR19 images"), path
    raise TestsetError(f"{path}: not a testset of a known kind; expected {EXPECTED}; found a file '{path.name}'")


def _recognise_folder(path: Path) -> tuple[Form, Path]:
    for manifest in MANIFEST_NAMES:
        if (path / manifest).is_file():
            return "manifest", path / manifest
    if is_ijb(path):
        return "IJB", path
    for special in (LIST_NAME, *PAIRS_NAMES):
        if (path / special).is_file():
            return _recognise(path / special)
    if mask_pair(path) is not None:
        return "mask pair", path
    if any(image_names(folder)[0] for folder in sub_folders(path)):
        return "identity folders", path
    found = shortened([f"'{entry.name}'" for entry in sorted(path.iterdir())]) or "an empty folder"
    raise TestsetError(f"{path}: not a testset of a known kind; expected {EXPECTED}; found {found}")


def is_feature_file(path: Path) -> bool:
    """Whether the file starts like an LFR19 feature file: rows, cols, cols * 4, 5 as little-endian int32."""
    with open_regular(path) as file:
        head = file.read(16)
    if len(head) < 16:
        return False
    _rows, cols, stride, kind = struct.unpack("<4i", head)
    return bool(kind == 5 and stride == 4 * cols)


def read_testset(path: Path, name: str = "") -> Testset:
    """Read the testset at ``path``, whatever its kind; ``name`` defaults to the name of the file or folder.

    Raises
    ------
    TestsetError
        It is of no known kind, wrong in itself, or changes while it is read.
    """
    form, target = recognise(path)
    try:
        before: tuple[int, ...] = identity(target)
        found = _READERS[form](target, name or default_name(path))
    except (OSError, UnicodeDecodeError) as error:
        raise TestsetError(f"{path}: read as {form}, but it cannot be read: {error}") from error
    except (LookupError, RecursionError, MemoryError) as error:
        raise TestsetError(f"{path}: read as {form}, but it cannot be understood: {type(error).__name__}") from error
    if _now(target) != before:
        raise TestsetError(f"{path}: it was written while it was read; try again when nobody writes it")
    return found


def _now(path: Path) -> tuple[int, ...]:
    try:
        return identity(path)
    except OSError:
        return ()
