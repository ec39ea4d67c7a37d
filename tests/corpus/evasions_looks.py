"""Evasions: the body looks at the image more than once, unconditionally."""

from .evasion_registry import second_look
from .stacks import STACKS
from .views import VIEWS

# Every operator that can mirror, each with another stacking, join and tower, so that no pair always goes together.
_MIRRORS = [name for name in VIEWS if name.startswith("mirror_")]
_PLAIN = ("batch", "batch_halves", "towers", "batch_interleaved", "five_d", "loop", "towers")
_JOINED = ("mean", "sum_l2", "concat", "weighted", "max", "mean_of_unit", "norm_weighted", "weighted_matmul", "mean_op")
_BODIES = ("resnet", "folded", "mobile", "vit", "resnet")

for _i, _name in enumerate(_MIRRORS):
    _stack, _join, _body = _PLAIN[_i % 7], _JOINED[_i % 9], _BODIES[_i % 5]
    second_look(
        f"op_{_name}",
        f"The image {VIEWS[_name].does}; both versions by {_stack}, joined by {_join}.",
        [_name],
        stacking=_stack,
        join=_join,
        kind=_body,
    )

# Every other kind of second version.
_OTHERS = [name for name in VIEWS if not name.startswith("mirror_") and name != "identity"]
for _i, _name in enumerate(_OTHERS):
    _stack, _join, _body = _PLAIN[(_i + 2) % 7], _JOINED[(_i + 4) % 9], _BODIES[(_i + 1) % 5]
    second_look(
        f"look_{_name}",
        f"A second version of the image, {VIEWS[_name].does}; both by {_stack}, joined by {_join}.",
        [_name],
        stacking=_stack,
        join=_join,
        kind=_body,
    )

# Every stacking, with changing views and joins.
_SOME = ("mirror_slice", "shift_pad", "mirror_gather", "crop_pad", "brighter", "vertical", "mirror_matmul")
for _i, _stack in enumerate(STACKS):
    _body = ("folded", "resnet", "mobile")[_i % 3]
    _join = _JOINED[(_i + 1) % 9]
    second_look(
        f"stack_{_stack}",
        f"{(STACKS[_stack][0].__doc__ or '').rstrip('.')}; the second version is {VIEWS[_SOME[_i % 7]].does}.",
        [_SOME[_i % 7]],
        stacking=_stack,
        join=_join,
        kind=_body,
    )

# Every relation between the weights of two towers.
for _i, _relation in enumerate(("copied", "permuted", "rescaled", "perturbed", "disguised")):
    for _view, _join in ((_SOME[_i], "mean"), (_SOME[_i - 3], "concat")):
        _body = _BODIES[(_i + len(_join)) % 5]
        second_look(
            f"weights_{_relation}_{_join}",
            f"A second {_body} tower with {_relation} weights sees the image {VIEWS[_view].does}; joined by {_join}.",
            [_view],
            stacking="towers",
            join=_join,
            kind=_body,
            relation=_relation,
        )
second_look(
    "channels_copied_perturbed",
    "Grouped convolutions over the image and its mirror image, the second group's weights slightly perturbed.",
    ["mirror_slice"],
    stacking="channels",
    relation="perturbed",
)
second_look(
    "channels_disguised",
    "Grouped convolutions over the image and its mirror image, the second group permuted, rescaled and perturbed.",
    ["mirror_gather"],
    stacking="channels",
    kind="folded",
    join="sum_l2",
    relation="disguised",
)

# No operator at all: the kernels of the second tower are mirrored.
for _body, _join in (("resnet", "mean"), ("folded", "concat"), ("mobile", "sum_l2"), ("vit", "max")):
    if _body != "vit":
        second_look(
            f"kernels_mirrored_{_body}",
            f"Two {_body} towers on the same image; every kernel of the second is the mirror of the first's.",
            ["identity"],
            stacking="towers",
            join=_join,
            kind=_body,
            relation="mirrored",
        )
second_look(
    "kernels_mirrored_vit",
    "Two patch transformers on the same image; patch kernels, positions and last matrix of the second are mirrored.",
    ["identity"],
    stacking="towers",
    kind="vit",
    relation="mirrored",
)
second_look(
    "kernels_mirrored_disguised",
    "The second tower's kernels are mirrored, its channels permuted and rescaled, its weights perturbed.",
    ["identity"],
    stacking="towers",
    relation="mirrored_disguised",
)

# The copy is made of an early feature map.
for _view, _body, _join, _relation in (
    ("mirror_slice", "resnet", "mean", "shared"),
    ("mirror_gather", "folded", "concat", "shared"),
    ("shift_pad", "mobile", "sum_l2", "shared"),
    ("mirror_split_concat", "resnet", "max", "permuted"),
    ("vertical", "folded", "weighted", "perturbed"),
):
    second_look(
        f"features_{_view}_{_relation}",
        f"First-layer features {VIEWS[_view].does}; both versions run through the rest ({_relation} weights).",
        [_view],
        join=_join,
        kind=_body,
        relation=_relation,
        features=True,
    )

# More than two versions.
second_look(
    "four_looks",
    "Image, mirror image, brighter and shifted image on the batch axis.",
    ["mirror_slice", "brighter", "shift_pad"],
)
second_look(
    "five_crops",
    "Image and four differently treated versions through towers with shared weights.",
    ["crop_pad", "zoom_matmul", "mirror_shift", "covered"],
    stacking="towers",
    join="mean_op",
    kind="folded",
)
second_look(
    "many_shifts",
    "Image, shifted and rolled copies: a multi-crop test in the graph.",
    ["shift_pad", "shift_conv", "roll_rows"],
    stacking="batch_interleaved",
    join="sum_l2",
    kind="mobile",
)
