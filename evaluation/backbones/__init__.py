"""Bodies that several networks are made of."""
