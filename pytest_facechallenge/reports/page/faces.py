"""The images of the hardest pairs, for a page whose user asked for them: faces are personal data."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.embedding.image import ImageError, decode
from pytest_facechallenge.reports.page.accuracy import shown_pairs
from pytest_facechallenge.testsets import TestsetError, read_testset

#: Characters that images may take of one page, so that a page of many submissions stays one that can be sent.
MOST_CHARACTERS = 1_000_000
#: Of JPEG; good enough to see why two faces were taken for one.
QUALITY = 75

#: Testset and image -> a data URI.
Faces = Mapping[tuple[str, str], str]


def faces_of(submissions: Iterable[Facts]) -> Faces:
    """Return the images of every pair that the page lists, from the testsets where they still are.

    Images are decoded as for embedding and written anew, so nothing but 112x112 pixels reaches the page. One that
    cannot be read is left out, and so are those of videos and templates, where an entry is not one image.
    """
    found: dict[tuple[str, str], str] = {}
    used = 0
    for facts in (measured for each in submissions if (measured := each.get(AccuracyFacts))):
        for supplied in facts.testsets:
            names = {
                name
                for result in facts.sets
                if result.testset == supplied.name
                for pair in (*shown_pairs(result.hardest_genuine), *shown_pairs(result.hardest_impostor))
                for name in (pair.left, pair.right)
            }
            missing = {name for name in names if (supplied.name, name) not in found}
            for name, uri in _images(supplied.path, missing):
                if used + len(uri) > MOST_CHARACTERS:
                    return found
                used += len(uri)
                found[supplied.name, name] = uri
    return found


def _images(path: str, names: set[str]) -> Iterable[tuple[str, str]]:
    if not names or "\0" in path:
        return
    try:
        testset = read_testset(Path(path))
    except TestsetError:
        return
    if testset.pooling is not None:
        return
    for index, name in enumerate(testset.entry_names):
        if name not in names:
            continue
        try:
            pixels = decode(testset.images.read(index))
        except (OSError, ImageError):
            continue
        written = io.BytesIO()
        Image.fromarray(pixels).save(written, "JPEG", quality=QUALITY)
        yield name, "data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode()
