"""Images that are in a testset more than once, byte for byte: they are compared with themselves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.testsets.model import BoolArray, Testset

#: Pairs that are named in a finding.
_SHOWN = 3


def duplicate_findings(testset: Testset, digests: npt.NDArray[np.uint8], usable: BoolArray) -> tuple[str, ...]:
    """Say which usable images are copies of another one; nothing is left out for it.

    Copies of one identity's image are genuine pairs with a score of 1, and copies under two identities are impostor
    pairs with that score: a wrong label, most likely, that every network fails on. Lists of pairs and of templates name
    an image as often as they need it, and frames of a video may well be the same; so these are not looked at.

    Parameters
    ----------
    digests : uint8 [images, n]
        Of the images' files; equal for equal bytes only.
    usable : bool [images]
    """
    if testset.pairs is not None or testset.pooling is not None or not usable.any():
        return ()
    places = np.flatnonzero(usable)
    keys = np.ascontiguousarray(digests[places]).view(np.dtype((np.void, digests.shape[1]))).ravel()
    order = np.argsort(keys, kind="stable")
    same = np.append(False, keys[order][1:] == keys[order][:-1])
    if not same.any():
        return ()
    copies, originals = places[order][same], places[order][np.roll(same, -1)]
    findings = [
        f"{len(copies):,} images are byte for byte the same as another one: {_pairs(testset, originals, copies)}"
    ]
    if testset.identities is not None:
        strangers = testset.identities[copies] != testset.identities[originals]
        if strangers.any():
            findings.append(
                f"{int(strangers.sum()):,} of these are listed under two identities, so one of the labels is wrong and "
                f"the pair is an impostor pair with a score of 1: "
                f"{_pairs(testset, originals[strangers], copies[strangers])}"
            )
    return tuple(findings)


def _pairs(testset: Testset, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> str:
    named = zip(left[:_SHOWN].tolist(), right[:_SHOWN].tolist(), strict=True)
    shown = ", ".join(f"{testset.images.name(one)} = {testset.images.name(other)}" for one, other in named)
    return shown if len(left) <= _SHOWN else f"{shown} and {len(left) - _SHOWN:,} more"
