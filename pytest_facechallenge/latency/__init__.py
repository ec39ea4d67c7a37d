"""How long one picture takes: measured, scaled from here to the rulebook's GPU, modelled."""
