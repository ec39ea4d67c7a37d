"""Submissions of somebody who means harm, in one table: every one that the tests of this folder build is a row.

A builder gets an empty folder and returns the path to hand in.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import onnx

from tests.security import archives, contents, places
from tests.security.archives import zip_bytes
from tests.security.contents import bad_model, model_bytes, model_with_archive_inside
from tests.support.models import network, save

#: Whether this user cannot simply read everything.
_KEPT_OUT = os.name == "posix" and os.geteuid() != 0


@dataclasses.dataclass(frozen=True)
class Hostile:
    """One attack.

    Attributes
    ----------
    name
        Of the folder that it is built in.
    build
        Builds it in an empty folder and returns what is handed in.
    fails
        The rule that must fail for it, "" where no rule must but the verdict must not be COMPLIANT.
    posix
        Whether it needs a POSIX file system.
    aside
        Whether it is left aside in a folder of submissions, because it holds no model and no archive where one is
        looked for.
    found
        Whether it is one only as long as it was found in a folder: what is named may be a link.
    """

    name: str
    build: Callable[[Path], Path]
    fails: str = "package"
    posix: bool = False
    aside: bool = False
    found: bool = False


def _file(name: str, content: Callable[[], bytes | onnx.ModelProto]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        made = content()
        (folder / name).write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
        return folder / name

    return build


def _zip(made: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    return _file("s.zip", lambda: made(model_bytes()))


def _folder(fill: Callable[[Path], None]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        entry = folder / "entry"
        entry.mkdir()
        fill(entry)
        return entry

    return build


def _put(entry: Path, content: bytes) -> None:
    (entry / "model.onnx").write_bytes(content)


HOSTILE: tuple[Hostile, ...] = (
    # One file, two meanings.
    Hostile("model-and-archive", _file("model.onnx", model_with_archive_inside)),
    Hostile("model-and-archive-in-a-folder", _folder(lambda entry: _put(entry, model_with_archive_inside()))),
    Hostile("model-and-archive-in-a-zip", _zip(lambda _: zip_bytes({"model.onnx": model_with_archive_inside()}))),
    Hostile("overridden-operator", _file("model.onnx", contents.overridden_operator), "onnx-valid"),
    Hostile("stored-twice", _file("model.onnx", contents.stored_twice), "onnx-valid"),
    Hostile("archive-named-onnx", _file("model.onnx", lambda: zip_bytes({"model.onnx": model_bytes()}))),
    Hostile("model-named-zip", _zip(lambda model: model)),
    Hostile("archive-prefixed", _zip(archives.prefixed)),
    Hostile("archive-suffixed", _zip(archives.suffixed)),
    Hostile("archive-local-name", _zip(archives.local_name_differs)),
    Hostile("archive-local-size", _zip(archives.local_size_differs)),
    Hostile("archive-unicode-name", _zip(archives.unicode_name_differs)),
    Hostile("archive-nul-name", _zip(archives.nul_in_name)),
    Hostile("archive-gap", _zip(archives.gap_between_entries)),
    Hostile("archive-comment", _zip(lambda model: archives.comment_with_archive(model, bad_model()))),
    Hostile("archive-wide-end", _zip(lambda model: archives.wide_end(model, lie=1))),
    Hostile("archive-late-size", _zip(archives.late_size_differs)),
    Hostile("archive-late-and-early", _zip(archives.late_and_early)),
    Hostile("archive-wide-size", _zip(archives.wide_size_differs)),
    Hostile("archive-sizes-twice", _zip(archives.sizes_twice)),
    Hostile("archive-folder-with-content", _zip(lambda model: archives.folder_with_content(model, bad_model()))),
    Hostile("archive-folder-and-file", _zip(archives.folder_of_the_same_name)),
    Hostile("archive-name-twice", _zip(lambda model: zip_bytes({"model.onnx": model, "Model.onnx": model}))),
    Hostile("archive-odd-name", _zip(lambda model: zip_bytes({"model.onnx": model, "aux\x01.txt": b"1"}))),
    # Too much of something.
    Hostile("archive-deep", _zip(archives.deep_zip)),
    Hostile("archive-bomb", _zip(lambda _: contents.bomb())),
    Hostile("archive-of-1200", _zip(lambda m: zip_bytes({f"a{n}": b"" for n in range(1_200)} | {"model.onnx": m}))),
    Hostile("folder-of-1005-texts", _folder(places.many_files(1_005))),
    Hostile("folder-deep", _folder(places.deep_folder), posix=True),
    Hostile("folder-with-model-like-junk", _folder(places.model_like_junk)),
    Hostile(
        "archive-with-model-like-junk", _zip(lambda m: zip_bytes({"model.onnx": m, "__MACOSX/z.onnx": bad_model()}))
    ),
    Hostile("folder-with-large-junk", _folder(places.large_junk)),
    Hostile("too-large", places.too_large),
    Hostile("long-name", _file("model.onnx", lambda: contents.long_name(1_000_000)), ""),
    Hostile("many-names", _file("model.onnx", contents.many_names), ""),
    Hostile("nested-graphs", _file("model.onnx", contents.nested_graphs), "onnx-valid"),
    Hostile("endless-loop", _file("model.onnx", contents.endless), ""),
    Hostile("memory-eater", _file("model.onnx", contents.memory_eater), ""),
    Hostile("huge-tensor", _file("model.onnx", contents.huge_tensor), "onnx-valid"),
    # More beside the model than a declaration, and what is no file.
    Hostile("folder-with-a-text", _folder(places.one_file_beside)),
    Hostile("folder-with-a-model-below", _folder(places.model_below), aside=True),
    Hostile("folder-with-a-pipe", _folder(places.pipe_inside), posix=True),
    Hostile("folder-with-a-socket", _folder(places.socket_inside), posix=True),
    Hostile("folder-with-a-link", _folder(places.link_inside), posix=True),
    Hostile("folder-with-odd-names", _folder(places.names_inside), posix=True),
    Hostile("folder-that-steers", _folder(places.steering_files)),
    Hostile("declaration-link", _folder(places.declaration_link), posix=True),
    Hostile("declaration-pipe", _folder(places.declaration_pipe), posix=True),
    Hostile("declaration-deep", places.deep_declaration, ""),
    Hostile("declaration-number", places.declaration_number, ""),
    Hostile("pipe", places.pipe, posix=True),
    Hostile("side-file-pipe", places.side_file_pipe, posix=True),
    Hostile("data-of-the-host", places.data_of_the_host("/etc/passwd")),
    Hostile("data-above", places.data_of_the_host("../model.onnx")),
    Hostile("link-to-itself", places.link_to("model.onnx"), posix=True),
    Hostile("link-to-a-device", places.link_to("/dev/zero"), posix=True),
    Hostile("link-to-a-process", places.link_to("/proc/self/environ"), posix=True, found=True),
    Hostile("link-to-a-folder", places.link_to_a_folder, posix=True, found=True),
    *([Hostile("unreadable", places.unreadable)] if _KEPT_OUT else []),
    # Names and texts.
    Hostile("nasty-file-name", places.nasty_file_name, "no-float16", posix=True),
    Hostile("bytes-name", places.bytes_name, "no-float16", posix=True),
    Hostile("long-file-name", places.long_file_name, "no-float16"),
    Hostile("special-signs", places.special_signs, "no-float16", posix=True),
    Hostile("python-file", places.python_file, "onnx-valid", aside=True),
    Hostile("nasty-texts", _file("model.onnx", contents.nasty_texts), ""),
    Hostile("unknown-operator", _file("model.onnx", contents.unknown_operator), "onnx-valid"),
    # No model.
    Hostile("circle", _file("model.onnx", contents.circle), "onnx-valid"),
    Hostile("empty", _file("model.onnx", lambda: b""), "onnx-valid"),
    Hostile("half-a-model", _file("model.onnx", lambda: model_bytes()[:30_000]), "onnx-valid"),
)


def usable_here() -> tuple[Hostile, ...]:
    """Return the attacks that this system's file system can hold."""
    return tuple(each for each in HOSTILE if os.name == "posix" or not each.posix)


def honest(folder: Path, count: int = 3) -> list[Path]:
    """Write models that keep every rule that is judged without images."""
    return [save(network(seed=seed), folder / f"honest-{seed}.onnx") for seed in range(1, count + 1)]
