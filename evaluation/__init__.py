"""How good the detector is: networks that are honest, networks that evade, and what the product says of each."""
