"""The register of evasions, and a recipe that puts one together from a view, a stacking, a tower and a join."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from onnx import ModelProto

from .builder import Net, Weights
from .case import BATCH_RULE, Array, Case, seed_of
from .stacks import JOINS, STACKS, Copies
from .towers import DIM, Tower
from .views import VIEWS, flip

EVASIONS: dict[str, Case] = {}

RELATIONS: dict[str, Callable[[Tower, Weights], Weights]] = {
    "shared": lambda _, weights: weights,
    "copied": lambda _, weights: {key: value.copy() for key, value in weights.items()},
    "permuted": lambda tower, weights: tower.permuted(weights),
    "rescaled": lambda tower, weights: tower.rescaled(weights),
    "perturbed": lambda tower, weights: tower.perturbed(weights),
    "disguised": lambda tower, weights: tower.perturbed(tower.rescaled(tower.permuted(weights)), 0.003),
    "mirrored": lambda tower, weights: tower.mirror(weights),
    "mirrored_disguised": lambda tower, weights: tower.perturbed(
        tower.rescaled(tower.permuted(tower.mirror(weights))), 0.003
    ),
}


def add(case: Case) -> None:
    """Register a case; names are unique."""
    if case.name in EVASIONS:
        raise ValueError(f"two evasions are called {case.name!r}; rename one")
    EVASIONS[case.name] = case


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
        Kind of tower.
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
        self.tower = Tower(kind, seed_of(name) % 1000)
        self.relation, self.features = relation, features
        self.seed = seed_of(name)
        self.opset = max(stack_opset, *(each.opset for each in self.views))
        self.dim = DIM * len(self.views) if join == "concat" else DIM

    def weights(self) -> list[Weights]:
        """Return the weights of each copy."""
        first = self.tower.weights()
        if self.features and self.relation == "permuted":
            second = self.tower.permuted(first, keep="s0")  # both towers read the features of one first layer
        else:
            second = RELATIONS[self.relation](self.tower, first)
        return [first, *([second] * (len(self.views) - 1))]

    def build(self) -> ModelProto:
        net = Net(self.seed, opset=self.opset)
        weights = self.weights()
        count = len(self.views)
        if self.features:
            side, channels = 56, self.tower.stem_channels
            features = self.tower.stem(net, net.x, weights[0])
            versions = [each.emit(net, features, channels, side) for each in self.views]
            copies = Copies([self.tower.rest(net, x, w) for x, w in zip(versions, weights, strict=True)])
        elif self.relation.startswith("mirrored"):
            mirrored = [self.tower.emit(net, net.x, w, mirrored=i > 0) for i, w in enumerate(weights)]
            copies = Copies(mirrored)
        else:
            versions = [each.emit(net, net.x, 3, 112) for each in self.views]
            copies = self.stack(net, self.tower, weights, versions)
        return net.finish(self.join(net, copies, count), self.dim)

    def single(self, images: Array) -> Array:
        """Compute the first look alone."""
        return self.tower.embed(self.weights()[0], images)

    def reference(self, images: Array) -> Array:
        """Compute what the graph claims to compute: every version through a tower of its own, joined in numpy."""
        values = []
        all_weights = self.weights()
        for i, (each, weights) in enumerate(zip(self.views, all_weights, strict=True)):
            change = flip if self.relation.startswith("mirrored") and i else each.numpy
            if self.features:
                values.append(self.tower.embed_rest(all_weights[0], weights, change, images))
            else:
                used = self.tower.mirror(weights) if change is flip and each.numpy is not flip else weights
                values.append(self.tower.embed(used, np.ascontiguousarray(change(images), dtype=np.float32)))
        return self.join_numpy(values)


def second_look(name: str, does: str, views: Sequence[str], **options: str | bool) -> None:
    """Register a :class:`Recipe`."""
    recipe = partial(Recipe, name, views, **options)  # type: ignore[arg-type]  # the keys are those of Recipe
    add(
        Case(
            name=name,
            does=does,
            expected=BATCH_RULE,
            kind="second-look",
            build=lambda: recipe().build(),
            single=lambda images: recipe().single(images),
            reference=lambda images: recipe().reference(images),
        )
    )
