"""A recipe that puts one together from a view, a stacking, a branch and a join."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from onnx import ModelProto

from evaluation.backbones.explicit import DIM, Backbone
from evaluation.case import BATCH_RULE, Case, seed_of
from evaluation.images import Array
from evaluation.proof import PROOFS, Proof
from evaluation.registry import register
from evaluation.sequential import SequentialBuilder, Weights
from evaluation.views import VIEWS, flip
from evaluation.views.stacking import JOINS, STACKS, Copies

RELATIONS: dict[str, Callable[[Backbone, Weights], Weights]] = {
    "shared": lambda _, weights: weights,
    "copied": lambda _, weights: {key: value.copy() for key, value in weights.items()},
    "permuted": lambda backbone, weights: backbone.permuted(weights),
    "rescaled": lambda backbone, weights: backbone.rescaled(weights),
    "perturbed": lambda backbone, weights: backbone.perturbed(weights),
    "transformed": lambda backbone, weights: backbone.perturbed(backbone.rescaled(backbone.permuted(weights)), 0.003),
    "mirrored": lambda backbone, weights: backbone.mirror(weights),
    "mirrored_transformed": lambda backbone, weights: backbone.perturbed(
        backbone.rescaled(backbone.permuted(backbone.mirror(weights))), 0.003
    ),
}


class Recipe:
    """A body run on several versions of the image (or of its first features).

    Parameters
    ----------
    name
        Key of the case; also draws weights and style.
    views
        Names of the further versions; the image as it is comes first.
    stacking, join
        Keys of ``STACKS`` and ``JOINS``.
    kind
        Kind of branch.
    relation
        Key of ``RELATIONS``: how the weights for the further versions come from the first ones. For ``mirrored`` the
        kernels are mirrored instead of the image.
    features
        Whether the versions are made of the first layer's features instead of the image.
    """

    def __init__(
        self,
        name: str,
        views: Sequence[str],
        stacking: str = "batch",
        join: str = "mean",
        kind: str = "resnet",
        relation: str = "shared",
        features: bool = False,
    ) -> None:
        self.views = [VIEWS[key] for key in ("identity", *views)]
        self.stack, stack_opset = STACKS[stacking]
        self.join, self.join_numpy = JOINS[join]
        self.backbone = Backbone(kind, seed_of(name) % 1000)
        self.relation, self.features = relation, features
        self.seed = seed_of(name)
        self.opset = max(stack_opset, *(each.opset for each in self.views))
        self.dim = DIM * len(self.views) if join == "concat" else DIM

    def weights(self) -> list[Weights]:
        """Return the weights of each copy."""
        first = self.backbone.weights()
        if self.features and self.relation == "permuted":
            second = self.backbone.permuted(first, keep="s0")  # both branches read the features of one first layer
        else:
            second = RELATIONS[self.relation](self.backbone, first)
        return [first, *([second] * (len(self.views) - 1))]

    def build(self) -> ModelProto:
        net = SequentialBuilder(self.seed, opset=self.opset)
        weights = self.weights()
        count = len(self.views)
        if self.features:
            side, channels = 56, self.backbone.stem_channels
            features = self.backbone.stem(net, net.x, weights[0])
            versions = [each.emit(net, features, channels, side) for each in self.views]
            copies = Copies([self.backbone.rest(net, x, w) for x, w in zip(versions, weights, strict=True)])
        elif self.relation.startswith("mirrored"):
            mirrored = [self.backbone.emit(net, net.x, w, mirrored=i > 0) for i, w in enumerate(weights)]
            copies = Copies(mirrored)
        else:
            versions = [each.emit(net, net.x, 3, 112) for each in self.views]
            copies = self.stack(net, self.backbone, weights, versions)
        return net.finish(self.join(net, copies, count), self.dim)

    def single(self, images: Array) -> Array:
        """Compute the first view alone."""
        return self.backbone.embed(self.weights()[0], images)

    def reference(self, images: Array) -> Array:
        """Compute what the graph claims to compute: every version through a branch of its own, joined in numpy."""
        values = []
        all_weights = self.weights()
        for i, (each, weights) in enumerate(zip(self.views, all_weights, strict=True)):
            change = flip if self.relation.startswith("mirrored") and i else each.numpy
            if self.features:
                values.append(self.backbone.embed_rest(all_weights[0], weights, change, images))
            else:
                used = self.backbone.mirror(weights) if change is flip and each.numpy is not flip else weights
                values.append(self.backbone.embed(used, np.ascontiguousarray(change(images), dtype=np.float32)))
        return self.join_numpy(values)


def views_joined(name: str, about: str, views: Sequence[str], *, idea: str, **options: str | bool) -> None:
    """Register a :class:`Recipe`."""
    recipe = partial(Recipe, name, views, **options)  # type: ignore[arg-type]  # the keys are those of Recipe
    register(
        Case(
            name=name,
            rules=(BATCH_RULE,),
            expected="failed",
            idea=idea,
            about=about,
            build=lambda: recipe().build(),
        )
    )
    PROOFS[name] = Proof(
        computes=lambda images: recipe().reference(images),
        others=lambda images: [recipe().single(images)],
    )
