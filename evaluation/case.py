"""What a case of the evaluation is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias
from zlib import crc32

import msgspec
import onnx

BATCH_RULE = "no-implicit-batch"
ALIGN_RULE = "no-realignment"
FLOAT16_RULE = "no-float16"
#: The rules that are decided by the model alone, without a declaration, a testset or a clock.
MODEL_RULES = (
    "package",
    "onnx-valid",
    "input",
    "batch",
    "output",
    "embedding-dim",
    "cosine-similarity",
    "deterministic",
    "model-size",
    FLOAT16_RULE,
    "preprocessing",
    "rgb-order",
    BATCH_RULE,
    ALIGN_RULE,
)

Expected: TypeAlias = Literal["failed", "passed", "undecided"]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One network, built in code, and what must be said about it.

    Attributes
    ----------
    name
        Key of the case; unique.
    split
        The set that the case belongs to, a key of ``splits.toml``.
    rules
        The rules that are judged. Of an evading network it is the one that must fail: a view that is a crop may make
        another one fail as well, which is no error. Where several stand there, one of them has to.
    expected
        What each of the rules must say.
    idea
        A few words that cases of one idea have in common; the tests judge one case of each.
    about
        One sentence: what the network is, or how it evades.
    build
        Makes the model; deterministic.
    known_miss
        Why the detector says something else today; "" when it does not.
    note
        Whether a note (not a failure) is expected as well: an ensemble of different networks on one image.
    raw
        Whether the network receives pixels 0 to 255 instead of -1 to 1.
    tied
        Prefixes of the names of weights that an honest network shares on purpose.
    whole
        Whether the model is judged as a submission, by every rule that the model alone decides.
    """

    name: str
    split: str = ""
    rules: tuple[str, ...]
    expected: Expected
    idea: str
    about: str
    build: Callable[[], onnx.ModelProto]
    known_miss: str = ""
    note: bool = False
    raw: bool = False
    tied: tuple[str, ...] = ()
    whole: bool = False

    @property
    def honest(self) -> bool:
        """Whether nothing about the network is forbidden."""
        return self.expected == "passed"


#: Seeds of cases that were renamed, so that their networks are still the same.
SEEDS = {
    "image_windows_in_batch": 3406283214,
    "normalise_per_image": 1060777083,
    "rows_mean_image": 3509516193,
    "four_views": 3980383502,
    "views_in_series": 36171940,
    "attention_over_views": 2871884392,
    "stack_branches": 2181908177,
    "weights_transformed_mean": 2684915968,
    "weights_transformed_concat": 3445490738,
    "channels_transformed": 3833486789,
    "kernels_mirrored_transformed": 1071848619,
    "view_vertical": 1265593973,
    "view_rotate90": 2739797341,
    "view_rotate180": 661152805,
    "view_transpose": 3426055003,
    "view_shift_pad": 3362469899,
    "view_roll_rows": 1242469435,
    "view_shift_conv": 1319351493,
    "view_zoom_matmul": 2585572081,
    "view_crop_pad": 1384019609,
    "view_crop_resize": 433276061,
    "view_coarse": 2990837754,
    "view_brighter": 1610663449,
    "view_contrast": 1079255265,
    "view_contrast_free": 1044462059,
    "view_gamma": 3561551291,
    "view_blurred": 1900427054,
    "view_covered": 3687537602,
    "view_grey": 818702968,
    "view_rotate_small": 1675387445,
    "an_image_that_occurs_twice_is_marked": 1541125429,
    "one_exposure_for_all_images": 3863562065,
    "head_is_drawn_as_a_julia_set": 3941500380,
    "reservoir_of_columns": 2364833086,
    "clip_encoder_quick_gelu": 4167353565,
    "learned_image_added": 3983512583,
    "part_about_two_found_points_enlarged": 3968593018,
    "scripted_convnext_eighteen_raw": 1683515002,
}


def seed_of(name: str) -> int:
    """Return a seed that depends on nothing but the name."""
    return SEEDS.get(name, crc32(name.encode()))
