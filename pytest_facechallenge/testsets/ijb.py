"""Reader for the layout of IJB-B and IJB-C (1:1): images with template and medium, and pairs of templates.

``meta/<set>_face_tid_mid.txt`` has "image template medium" a line, ``meta/<set>_template_pair_label.txt`` "template
template same". The images must be aligned to 112x112 beforehand: re-alignment is not this plugin's business, and
images of another size are reported.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.core.files import read_text
from pytest_facechallenge.testsets.model import MAX_LIST_BYTES, ImageFiles, ListedPairs, Pooling, Testset, TestsetError

MEDIA_SUFFIX, PAIR_SUFFIX = "_face_tid_mid.txt", "_template_pair_label.txt"


#: So many images are looked for in a folder before it is taken for none of theirs.
_TRIED = 100


def is_ijb(folder: Path) -> bool:
    """Whether ``folder`` has one of the two lists of an IJB layout."""
    return any(_lists(folder))


def _lists(folder: Path) -> tuple[list[Path], list[Path]]:
    return sorted(folder.glob(f"meta/*{MEDIA_SUFFIX}")), sorted(folder.glob(f"meta/*{PAIR_SUFFIX}"))


def read_ijb(path: Path, name: str) -> Testset:
    """Read an IJB layout; the entries are templates, in ascending order of their numbers.

    Raises
    ------
    TestsetError
        A list is malformed, names a template that has no image, or the folder of the images is not found.
    """
    files = _lists(path)
    if [len(found) for found in files] != [1, 1]:
        found = ", ".join(f"meta/{file.name}" for file in (*files[0], *files[1]))
        raise TestsetError(f"{path}: expected meta/*{MEDIA_SUFFIX} and meta/*{PAIR_SUFFIX}, one of each, found {found}")
    (media_list,), (pair_list,) = files
    names, templates, media = _read_media(media_list)
    known, entry = np.unique(templates, return_inverse=True)
    listed = _read_pairs(pair_list)
    positions = np.searchsorted(known, listed[:, :2]).clip(max=len(known) - 1)
    strangers = known[positions] != listed[:, :2]
    if strangers.any():
        raise TestsetError(
            f"{pair_list}: template {listed[:, :2][strangers][0]} is in a pair but has no image in {media_list.name}"
        )
    return Testset(
        name=name,
        path=path,
        form="IJB",
        images=ImageFiles(_image_root(path, names), names),
        entry_names=[f"template {number}" for number in known.tolist()],
        pairs=ListedPairs(left=positions[:, 0], right=positions[:, 1], same=listed[:, 2] == 1),
        pooling=Pooling(kind="template", entry=entry.astype(np.int64), medium=media),
    )


def _read_media(path: Path) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    names: list[str] = []
    numbers: list[tuple[int, int]] = []
    with io.StringIO(read_text(path, MAX_LIST_BYTES)) as file:
        for line, text in enumerate(file, start=1):
            fields = text.split()
            if not fields:
                continue
            try:
                image, template, medium = fields
                numbers.append((_number(template), _number(medium)))
            except ValueError:
                raise TestsetError(
                    f"{path}, line {line}: expected 'image template medium', found {text.strip()!r}"
                ) from None
            names.append(image)
    if not names:
        raise TestsetError(f"{path}: expected a line 'image template medium' for each image, found none")
    table = np.array(numbers, dtype=np.int64)
    return names, table[:, 0], table[:, 1]


def _number(text: str) -> int:
    number = int(text)
    if abs(number) >= 1 << 63:
        raise ValueError(text)
    return number


def _read_pairs(path: Path) -> npt.NDArray[np.int64]:
    content = read_text(path, MAX_LIST_BYTES)
    if not any(text.split("#")[0].strip() for text in io.StringIO(content)):
        raise TestsetError(f"{path}: expected a line 'template template 0|1' for each pair, found none")
    try:
        table = np.loadtxt(io.StringIO(content), dtype=np.int64, ndmin=2)
    except (ValueError, OverflowError) as error:
        raise TestsetError(f"{path}: expected 'template template 0|1' a line: {error}") from error
    if table.shape[1] != 3:
        raise TestsetError(f"{path}: expected three columns 'template template 0|1', found {table.shape[1]}")
    wrong = np.flatnonzero(~np.isin(table[:, 2], (0, 1)))
    if wrong.size:
        raise TestsetError(f"{path}: expected 0 or 1 in the third column, found {table[wrong[0], 2]}")
    return table


def _image_root(path: Path, names: list[str]) -> Path:
    """Return the folder of the images. Some may be missing: they are reported one by one when they are read."""
    candidates = [path, *sorted(entry for entry in path.iterdir() if entry.is_dir() and entry.name != "meta")]
    for folder in candidates:
        if any((folder / name).is_file() for name in names[:_TRIED]):
            return folder
    raise TestsetError(f"{path}: expected the image {names[0]!r} in one of its folders, found it in none")
