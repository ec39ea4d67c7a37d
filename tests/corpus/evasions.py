"""All evasions: ``EVASIONS`` maps a name to its case."""

from . import evasions_align, evasions_hidden, evasions_looks, evasions_rows, evasions_shares
from .evasion_registry import EVASIONS

__all__ = ["EVASIONS", "evasions_align", "evasions_hidden", "evasions_looks", "evasions_rows", "evasions_shares"]
