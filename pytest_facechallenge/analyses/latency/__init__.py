"""How long one image takes: measured, scaled from here to the rulebook's GPU, modelled."""
