"""Reader for the layout of IJB-B and IJB-C (1:1): pictures with template and medium, and pairs of templates.

``meta/<set>_face_tid_mid.txt`` has "picture template medium" a line, ``meta/<set>_template_pair_label.txt`` "template
template same". The pictures must be aligned to 112x112 beforehand: re-alignment is not this plugin's business, and
pictures of another size are reported.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.testset.model import ListedPairs, PictureFiles, Pooling, Testset, TestsetError

MEDIA_SUFFIX, PAIR_SUFFIX = "_face_tid_mid.txt", "_template_pair_label.txt"


def meta_files(folder: Path) -> tuple[Path, Path] | None:
    """Return the media list and the pair list of an IJB layout, or None when this is none."""
    meta = folder / "meta"
    if not meta.is_dir():
        return None
    media = sorted(meta.glob(f"*{MEDIA_SUFFIX}"))
    pairs = sorted(meta.glob(f"*{PAIR_SUFFIX}"))
    return (media[0], pairs[0]) if len(media) == 1 and len(pairs) == 1 else None


def read_ijb(path: Path, name: str) -> Testset:
    """Read an IJB layout; the entries are templates, in ascending order of their numbers.

    Raises
    ------
    TestsetError
        A list is malformed, names a template that has no picture, or the folder of the pictures is not found.
    """
    files = meta_files(path)
    if files is None:
        raise TestsetError(f"{path}: expected meta/*{MEDIA_SUFFIX} and meta/*{PAIR_SUFFIX}, one of each")
    names, templates, media = _read_media(files[0])
    known, entry = np.unique(templates, return_inverse=True)
    listed = _read_pairs(files[1])
    positions = np.searchsorted(known, listed[:, :2]).clip(max=len(known) - 1)
    strangers = known[positions] != listed[:, :2]
    if strangers.any():
        raise TestsetError(
            f"{files[1]}: template {listed[:, :2][strangers][0]} is in a pair but has no picture in {files[0].name}"
        )
    return Testset(
        name=name,
        path=path,
        form="IJB",
        pictures=PictureFiles(_picture_root(path, names[0]), names),
        entry_names=[f"template {number}" for number in known.tolist()],
        pairs=ListedPairs(left=positions[:, 0], right=positions[:, 1], same=listed[:, 2] == 1),
        pooling=Pooling(kind="template", entry=entry.astype(np.int64), medium=media),
    )


def _read_media(path: Path) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    names: list[str] = []
    numbers: list[tuple[int, int]] = []
    with path.open(encoding="utf-8") as file:
        for line, text in enumerate(file, start=1):
            fields = text.split()
            if not fields:
                continue
            try:
                picture, template, medium = fields
                numbers.append((int(template), int(medium)))
            except ValueError:
                raise TestsetError(
                    f"{path}, line {line}: expected 'picture template medium', found {text.strip()!r}"
                ) from None
            names.append(picture)
    if not names:
        raise TestsetError(f"{path}: expected a line 'picture template medium' for each picture, found none")
    table = np.array(numbers, dtype=np.int64)
    return names, table[:, 0], table[:, 1]


def _read_pairs(path: Path) -> npt.NDArray[np.int64]:
    try:
        table = np.loadtxt(path, dtype=np.int64, ndmin=2)
    except ValueError as error:
        raise TestsetError(f"{path}: expected 'template template 0|1' a line: {error}") from error
    if table.size == 0 or table.shape[1] != 3 or not np.isin(table[:, 2], (0, 1)).all():
        raise TestsetError(f"{path}: expected three columns 'template template 0|1', found shape {list(table.shape)}")
    return table


def _picture_root(path: Path, first: str) -> Path:
    candidates = [path, *sorted(entry for entry in path.iterdir() if entry.is_dir() and entry.name != "meta")]
    for folder in candidates:
        if (folder / first).is_file():
            return folder
    raise TestsetError(f"{path}: expected the picture {first!r} in one of its folders, found it in none")
