"""Recurrent layers: LSTM, GRU, RNN. Every step is a fully connected layer on the input and one on the state."""

from __future__ import annotations

from pytest_facechallenge.analyses.flops.op_cost import MICROSOFT, CannotCountError, Site, Work, counts, extents

GATES = {"LSTM": 4, "DynamicQuantizeLSTM": 4, "GRU": 3, "RNN": 1}


@counts("LSTM", "GRU", "RNN")
@counts("DynamicQuantizeLSTM", domain=MICROSOFT)
def recurrent(site: Site) -> list[Work]:
    """Count x (steps, batch, width), or (batch, steps, width) with layout 1.

    Per step and direction: ``gates * hidden * (width + hidden)`` products. What joins the gates is element-wise, so
    free. ``sequence_lens`` can only shorten the work and is not looked at.
    """
    x = site.input(0)
    hidden = site.attribute("hidden_size", 0)
    if len(x) != 3 or hidden < 1:
        raise CannotCountError(f"{site.node.op} needs an input of three axes and a hidden_size, found {extents(x)}")
    directions = 2 if site.node.attributes.get("direction") == "bidirectional" else 1
    rows = x[0] * x[1] * directions
    outputs = rows * GATES[site.node.op] * hidden
    # A missing bias leaves both products of a gate without a start: each saves its first addition, as two layers would.
    return [
        Work(
            outputs * (x[2] + hidden),
            2 * outputs,
            "real" if site.has(3) else "none",
            "recurrent",
            text=f"{extents(x)}, hidden {hidden}" + (", two directions" if directions == 2 else ""),
        )
    ]
