"""Adding a network to a file of known networks."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_facechallenge.core.files import read_text
from pytest_facechallenge.fingerprints.known import MOST_BYTES, SCHEMA, KnownNetwork, KnownNetworksError, entry, read


def add(path: Path, network: KnownNetwork) -> None:
    """Append a network to a file, made where it is missing: written whole, or not at all.

    Raises
    ------
    KnownNetworksError
        The file is none of known networks, or has one of this name already.
    OSError
        It cannot be written.
    """
    text = f'schema = "{SCHEMA}"\n'
    if os.path.lexists(path):
        if any(each.name == network.name for each in read(path)):
            raise KnownNetworksError(f"{path} has a network named {network.name!r} already; name this one otherwise")
        text = read_text(path, MOST_BYTES)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_text(f"{text.rstrip()}\n\n{entry(network)}", encoding="utf-8")
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
