"""Readers for a folder with one sub-folder per identity, and for a masked/non-masked pair of such folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_facechallenge.testsets.model import (
    MASKED,
    MASKED_COLUMN,
    NON_MASKED,
    ImageFiles,
    Testset,
    TestsetError,
    image_names,
    number_texts,
    shortened,
)

#: Names (compared in lower case, without separators) of the two folders of a mask pair.
MASKED_NAMES = frozenset({"mask", "masked"})
NON_MASKED_NAMES = frozenset({"nonmask", "nonmasked", "nomask", "unmasked", "withoutmask"})


def sub_folders(folder: Path, *, hidden: bool = False) -> list[Path]:
    """Return the visible (or the hidden) sub-folders of ``folder``, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name.startswith(".") == hidden)


def mask_pair(folder: Path) -> tuple[Path, Path] | None:
    """Return the masked and the non-masked folder when ``folder`` has exactly these two, else None."""
    by_name = {"".join(c for c in path.name.lower() if c.isalnum()): path for path in sub_folders(folder)}
    masked = [path for name, path in by_name.items() if name in MASKED_NAMES]
    plain = [path for name, path in by_name.items() if name in NON_MASKED_NAMES]
    return (masked[0], plain[0]) if len(by_name) == 2 and masked and plain else None


def read_identity_folders(path: Path, name: str) -> Testset:
    """Read ``path/<identity>/<image>``.

    Raises
    ------
    TestsetError
        No sub-folder has an image.
    """
    names, identities, findings = _walk(path, path)
    if not names:
        raise TestsetError(
            f"{path}: expected one sub-folder per identity with images in it (.jpg, .png…), found none with an image"
        )
    return Testset(
        name=name,
        path=path,
        form="identity folders",
        images=ImageFiles(path, names),
        entry_names=names,
        identities=number_texts(identities),
        findings=tuple(findings),
    )


def read_mask_pair(path: Path, name: str) -> Testset:
    """Read ``path/mask/<identity>/<image>`` and ``path/nonmask/<identity>/<image>``.

    Raises
    ------
    TestsetError
        One of the two has no image, or no identity is in both.
    """
    pair = mask_pair(path)
    if pair is None:
        raise TestsetError(f"{path}: expected exactly the folders 'mask' and 'nonmask', found {_found(path)}")
    masked_names, masked_ids, findings = _walk(pair[0], path)
    plain_names, plain_ids, more = _walk(pair[1], path)
    for folder, names in zip(pair, (masked_names, plain_names), strict=True):
        if not names:
            raise TestsetError(f"{folder}: expected one sub-folder per identity with images in it, found none")
    if not set(masked_ids) & set(plain_ids):
        raise TestsetError(
            f"{path}: the masked and the non-masked folder share no identity, so there is no genuine pair; "
            f"masked: {shortened(sorted(set(masked_ids)))}; non-masked: {shortened(sorted(set(plain_ids)))}"
        )
    names = masked_names + plain_names
    return Testset(
        name=name,
        path=path,
        form="mask pair",
        images=ImageFiles(path, names),
        entry_names=names,
        identities=number_texts(masked_ids + plain_ids),
        columns={MASKED_COLUMN: np.array([MASKED] * len(masked_names) + [NON_MASKED] * len(plain_names))},
        findings=tuple(findings + more),
    )


def _walk(folder: Path, root: Path) -> tuple[list[str], list[str], list[str]]:
    """Return image paths relative to ``root``, the identity of each, and findings."""
    names: list[str] = []
    identities: list[str] = []
    others: list[str] = []
    for person in sub_folders(folder):
        images, rest = image_names(person)
        prefix = person.relative_to(root).as_posix()
        names += [f"{prefix}/{image}" for image in images]
        identities += [person.name] * len(images)
        others += [f"{prefix}/{other}" for other in rest]
        if not images:
            others.append(f"{prefix}/ (no image in it)")
    others += [f"{path.relative_to(root).as_posix()}/" for path in sub_folders(folder, hidden=True)]
    loose = image_names(folder)[0]
    findings = []
    if others:
        findings.append(f"not taken for images, and so not compared: {shortened(others)}")
    if loose:
        findings.append(f"images outside of any identity's folder, and so not compared: {shortened(loose)}")
    return names, identities, findings


def _found(path: Path) -> str:
    return shortened([f"'{entry.name}'" for entry in sorted(path.iterdir())]) or "an empty folder"
