"""What the organisers' server feeds: decided by the names of the first nodes, not by what these do.

Source: challenges/iccv21-mfr/onnx_helper.py of the public repository deepinsight/insightface, which the rules ask
participants to run (rule 11). The rule is rebuilt here from its description.
"""

from __future__ import annotations

import onnx

#: So many nodes at the start of the file have their names read.
NODES_READ = 8

#: A name that starts with one of the first group and another that starts with one of the second make the server believe
#: that the model normalises.
SHIFTING = ("Sub", "_minus")
SCALING = ("Mul", "_mul", "Div")

#: (mean, std) that the server uses when it believes that, and when it does not.
RAW = (0.0, 1.0)
NORMALISED = (127.5, 127.5)


def first_names(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Return the names of the first `NODES_READ` nodes as the file has them, Constant nodes included."""
    return tuple(node.name for node in graph.node[:NODES_READ])


def server_feed(names: tuple[str, ...]) -> tuple[float, float, tuple[str, ...]]:
    """Return (mean, std, the two names that decided it) of what the server feeds: (pixel - mean) / std."""
    shift = next((name for name in names if name.startswith(SHIFTING)), "")
    scale = next((name for name in names if name.startswith(SCALING)), "")
    if shift and scale:
        return (*RAW, (shift, scale))
    return (*NORMALISED, ())
