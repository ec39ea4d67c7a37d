"""Reference networks of face recognition as code that builds ONNX models with seeded weights.

They are the fixed points of the budgets: networks whose FLOPs, sizes and times on the challenge's hardware were
published. Structures follow the papers; the weights are random, so an embedding says nothing about a face.
"""

from pytest_facechallenge.refnets.iresnet import iresnet, r100fc
from pytest_facechallenge.refnets.mobilefacenet import mobilefacenet, y2
from pytest_facechallenge.refnets.registry import BUILDERS, build, options, save
from pytest_facechallenge.refnets.vargfacenet import vargfacenet
from pytest_facechallenge.refnets.vit import vit

__all__ = ["BUILDERS", "build", "iresnet", "mobilefacenet", "options", "r100fc", "save", "vargfacenet", "vit", "y2"]
