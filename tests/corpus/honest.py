"""All honest architectures: ``HONEST`` maps a name to its case."""

from . import honest_attention, honest_conv, honest_front, honest_layouts, honest_parts
from .honest_registry import HONEST

__all__ = ["HONEST", "honest_attention", "honest_conv", "honest_front", "honest_layouts", "honest_parts"]
