"""Evasions that join several views of the image: every operator, stacking, and relation of weights once."""

from evaluation.evasions.recipe import views_joined
from evaluation.views import VIEWS
from evaluation.views.stacking import STACKS

# Every operator that can mirror, each with another stacking, join and branch, so that no pair always goes together.
_MIRRORS = [name for name in VIEWS if name.startswith("mirror_")]
_PLAIN = ("batch", "batch_halves", "branches", "batch_interleaved", "five_d", "loop", "branches")
_JOINED = ("mean", "sum_l2", "concat", "weighted", "max", "mean_of_unit", "norm_weighted", "weighted_matmul", "mean_op")
_BODIES = ("resnet", "folded", "mobile", "vit", "resnet")

for _i, _name in enumerate(_MIRRORS):
    _stack, _join, _body = _PLAIN[_i % 7], _JOINED[_i % 9], _BODIES[_i % 5]
    views_joined(
        f"op_{_name}",
        f"The image {VIEWS[_name].does}; both versions by {_stack}, joined by {_join}.",
        [_name],
        stacking=_stack,
        join=_join,
        kind=_body,
        idea="mirroring operator",
    )

# Every other kind of second version.
_RECOLOURED = ("brighter", "contrast", "contrast_free", "gamma", "blurred", "covered", "grey")
_OTHERS = [name for name in VIEWS if not name.startswith("mirror_") and name != "identity"]
for _i, _name in enumerate(_OTHERS):
    _stack, _join, _body = _PLAIN[(_i + 2) % 7], _JOINED[(_i + 4) % 9], _BODIES[(_i + 1) % 5]
    views_joined(
        f"view_{_name}",
        f"A second version of the image, {VIEWS[_name].does}; both by {_stack}, joined by {_join}.",
        [_name],
        stacking=_stack,
        join=_join,
        kind=_body,
        idea="recoloured view" if _name in _RECOLOURED else "moved view",
    )

# Every stacking, with changing views and joins.
_STACKED = {
    "branches": "views through parallel branches",
    "batch": "views on the batch axis",
    "batch_halves": "views on the batch axis",
    "batch_interleaved": "views on the batch axis",
    "batch_scatter": "views on the batch axis",
    "channels": "views in channel groups",
    "depth": "views in a third dimension",
    "five_d": "views on the batch axis",
    "sequence": "views in a sequence",
    "sequence_map": "views in a sequence",
    "loop": "views in a loop",
    "scan": "views in a loop",
    "function": "views through a function",
}
_SOME = ("mirror_slice", "shift_pad", "mirror_gather", "crop_pad", "brighter", "vertical", "mirror_matmul")
for _i, _stack in enumerate(STACKS):
    _body = ("folded", "resnet", "mobile")[_i % 3]
    _join = _JOINED[(_i + 1) % 9]
    views_joined(
        f"stack_{_stack}",
        f"{(STACKS[_stack][0].__doc__ or '').rstrip('.')}; the second version is {VIEWS[_SOME[_i % 7]].does}.",
        [_SOME[_i % 7]],
        stacking=_stack,
        join=_join,
        kind=_body,
        idea=_STACKED[_stack],
    )

# Every relation between the weights of two branches.
for _i, _relation in enumerate(("copied", "permuted", "rescaled", "perturbed", "transformed")):
    for _view, _join in ((_SOME[_i], "mean"), (_SOME[_i - 3], "concat")):
        _body = _BODIES[(_i + len(_join)) % 5]
        views_joined(
            f"weights_{_relation}_{_join}",
            f"A second {_body} branch with {_relation} weights sees the image {VIEWS[_view].does}; joined by {_join}.",
            [_view],
            stacking="branches",
            join=_join,
            kind=_body,
            relation=_relation,
            idea="reparametrised branch",
        )
views_joined(
    "channels_copied_perturbed",
    "Grouped convolutions over the image and its mirror image, the second group's weights slightly perturbed.",
    ["mirror_slice"],
    stacking="channels",
    relation="perturbed",
    idea="views in channel groups",
)
views_joined(
    "channels_transformed",
    "Grouped convolutions over the image and its mirror image, the second group permuted, rescaled and perturbed.",
    ["mirror_gather"],
    stacking="channels",
    kind="folded",
    join="sum_l2",
    relation="transformed",
    idea="views in channel groups",
)

# No operator at all: the kernels of the second branch are mirrored.
for _body, _join in (("resnet", "mean"), ("folded", "concat"), ("mobile", "sum_l2"), ("vit", "max")):
    if _body != "vit":
        views_joined(
            f"kernels_mirrored_{_body}",
            f"Two {_body} branches on the same image; every kernel of the second is the mirror of the first's.",
            ["identity"],
            stacking="branches",
            join=_join,
            kind=_body,
            relation="mirrored",
            idea="mirrored kernels",
        )
views_joined(
    "kernels_mirrored_vit",
    "Two patch transformers on the same image; patch kernels, positions and last matrix of the second are mirrored.",
    ["identity"],
    stacking="branches",
    kind="vit",
    relation="mirrored",
    idea="mirrored kernels",
)
views_joined(
    "kernels_mirrored_transformed",
    "The second branch's kernels are mirrored, its channels permuted and rescaled, its weights perturbed.",
    ["identity"],
    stacking="branches",
    relation="mirrored_transformed",
    idea="mirrored kernels",
)

# The copy is made of an early feature map.
for _view, _body, _join, _relation in (
    ("mirror_slice", "resnet", "mean", "shared"),
    ("mirror_gather", "folded", "concat", "shared"),
    ("shift_pad", "mobile", "sum_l2", "shared"),
    ("mirror_split_concat", "resnet", "max", "permuted"),
    ("vertical", "folded", "weighted", "perturbed"),
):
    views_joined(
        f"features_{_view}_{_relation}",
        f"First-layer features {VIEWS[_view].does}; both versions run through the rest ({_relation} weights).",
        [_view],
        join=_join,
        kind=_body,
        relation=_relation,
        features=True,
        idea="view of early features",
    )

# More than two versions.
views_joined(
    "four_views",
    "Image, mirror image, brighter and shifted image on the batch axis.",
    ["mirror_slice", "brighter", "shift_pad"],
    idea="several views",
)
views_joined(
    "five_crops",
    "Image and four differently treated versions through branches with shared weights.",
    ["crop_pad", "zoom_matmul", "mirror_shift", "covered"],
    stacking="branches",
    join="mean_op",
    kind="folded",
    idea="several views",
)
views_joined(
    "many_shifts",
    "Image, shifted and rolled copies: a multi-crop test in the graph.",
    ["shift_pad", "shift_conv", "roll_rows"],
    stacking="batch_interleaved",
    join="sum_l2",
    kind="mobile",
    idea="several views",
)
