"""The corpus the rules about second looks are judged on: honest networks, evasions, and injections into networks.

``HONEST`` and ``EVASIONS`` map a name to a :class:`~.case.Case`; ``INJECTIONS`` maps a name to a graph transform.
Everything is built in code from seeds; no case's names, opset or number of nodes depends on its verdict.
"""

from .case import ALIGN_RULE, BATCH_RULE, Case
from .evasions import EVASIONS
from .honest import HONEST
from .inject import INJECTIONS, CannotCarry

__all__ = ["ALIGN_RULE", "BATCH_RULE", "EVASIONS", "HONEST", "INJECTIONS", "CannotCarry", "Case"]
