"""How long one picture takes: measured here, scaled to the rulebook's GPU by reference networks, modelled from the graph."""
