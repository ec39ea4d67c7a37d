"""What every reader gives: images, the entries that are compared, their identities, groups and listed pairs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.core.files import read_regular

IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
TextArray: TypeAlias = npt.NDArray[np.str_]

Form = Literal[
    "identity folders", "mask pair", "manifest", "InsightFace bin", "LFW pairs", "IJB", "LFR19 images", "LFR19 videos"
]
PoolingKind = Literal["video", "template"]

#: The column that tells masked from non-masked images, and its two values after reading.
MASKED_COLUMN, MASKED, NON_MASKED = "masked", "masked", "non-masked"
#: The column of a manifest that says which testset of a challenge an image belongs to.
SET_COLUMN = "set"

#: File name endings that are taken for images; anything else in an image folder is reported.
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm"})
#: Bytes of the largest image file and of the largest list that are read.
MAX_IMAGE_BYTES = 256 << 20
MAX_LIST_BYTES = 1 << 30
#: Files that operating systems leave behind and that nobody means; also "._" files, which hold what macOS knows of a
#: image beside it.
SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_MACOS_PREFIX = "._"


class TestsetError(ValueError):
    """A testset that cannot be used; the message says what was expected, what was found and where."""

    __test__: ClassVar[bool] = False


class Images(Protocol):
    """The images of a testset, read one at a time."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def name(self, index: int) -> str:
        """Return what a person calls image ``index``: its path inside the testset."""
        ...

    def read(self, index: int) -> bytes:
        """Return the encoded file of image ``index``.

        Raises
        ------
        OSError
            It cannot be read, is no regular file, or is too large for an image.
        """
        ...


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Images that lie as files under one folder; ``names`` are their paths relative to it, with slashes."""

    root: Path
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        """Return the path inside the testset."""
        return self.names[index]

    def read(self, index: int) -> bytes:
        """Return the file's bytes."""
        return read_regular(self.root / self.names[index], MAX_IMAGE_BYTES)


@dataclasses.dataclass(frozen=True)
class ImageBlobs:
    """Encoded images held in memory, as an InsightFace ``.bin`` stores them."""

    blobs: list[bytes]
    prefix: str = "image"

    def __len__(self) -> int:
        return len(self.blobs)

    def name(self, index: int) -> str:
        """Return ``<prefix> <number>``, counted from 0 as in the file."""
        return f"{self.prefix} {index}"

    def read(self, index: int) -> bytes:
        """Return the encoded image."""
        return self.blobs[index]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListedPairs:
    """Pairs that the testset names.

    Attributes
    ----------
    left, right : int64 [P]
        Numbers of the two entries.
    same : bool [P]
        Whether both show one person.
    folds
        The number of equal, consecutive folds for cross-validated accuracy (10 for LFW); 0 when there are none.
    """

    left: IntArray
    right: IntArray
    same: BoolArray
    folds: int = 0

    def __len__(self) -> int:
        return len(self.left)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pooling:
    """How images become entries.

    Attributes
    ----------
    kind
        "video": each image's embedding is L2-normalised, the sum is normalised (LFR19's gen_video_feature.py).
        "template": the mean over each medium, the sum over media, normalised (IJB-B/C's usual protocol).
    entry : int64 [images]
        The entry that each image belongs to.
    medium : int64 [images]
        The medium (a video or a still) that each image comes from; only used for templates.
    """

    kind: PoolingKind
    entry: IntArray
    medium: IntArray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Testset:
    """A testset, whatever it was read from.

    *Entries* are what is compared: images, unless ``pooling`` makes one entry of several (videos, templates).

    Attributes
    ----------
    name
        What the user calls it.
    entry_names
        One for each entry; the images' names when nothing is pooled.
    identities : int64 [entries] or None
        Who is seen; None when the testset only lists pairs (IJB, LFW, .bin) or has no labels.
    columns
        Group columns by lower-case name, each with one text an entry: set, race, masked, age…
    pairs, pooling
        See there.
    findings
        What was noticed while reading, a sentence each; it does not stop the run and is never dropped.
    """

    __test__: ClassVar[bool] = False

    name: str
    path: Path
    form: Form
    images: Images
    entry_names: list[str]
    identities: IntArray | None = None
    columns: dict[str, TextArray] = dataclasses.field(default_factory=dict)
    pairs: ListedPairs | None = None
    pooling: Pooling | None = None
    findings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.entry_names)

    @property
    def identity_count(self) -> int:
        """How many different identities there are; 0 when they are unknown."""
        return 0 if self.identities is None else len(np.unique(self.identities))

    def masked(self) -> BoolArray | None:
        """Which entries are masked, or None when the testset does not say."""
        column = self.columns.get(MASKED_COLUMN)
        return None if column is None else column == MASKED


def number_texts(texts: npt.NDArray[Any] | list[str]) -> IntArray:
    """Give each text the number of its place among the sorted different texts, as int64."""
    return np.unique(np.asarray(texts, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


def image_names(folder: Path) -> tuple[list[str], list[str]]:
    """Return the sorted names of the images right inside ``folder``, and of whatever else is there (folders: "x/").

    A link that leads nowhere is an image by its name: it will be reported as one that cannot be read.
    """
    images: list[str] = []
    others: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name.lower() in SYSTEM_FILES or path.name.startswith(_MACOS_PREFIX):
            continue
        if path.is_dir():
            others.append(f"{path.name}/")
            continue
        readable = path.suffix.lower() in IMAGE_SUFFIXES and (path.is_file() or path.is_symlink())
        (images if readable else others).append(path.name)
    return images, others


def portable(root: Path, name: str) -> str:
    """Return a path of a list with slashes, as it lies below ``root``: lists made on Windows have backslashes."""
    return name.replace("\\", "/") if "\\" in name and not (root / name).exists() else name


def shortened(names: list[str], limit: int = 5) -> str:
    """List names for a sentence, at most ``limit`` of them and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit:,} more"


def default_name(path: Path) -> str:
    """Return what a testset is called that got no name: its file's or folder's name, the folder's for a list in it."""
    generic = path.stem.lower() in ("manifest", "filelist", "pairs")
    return path.parent.name if generic and path.parent.name else path.stem
