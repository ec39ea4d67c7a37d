"""Networks that nobody here wrote: one of each family of timm, exported by PyTorch, and what is said of it."""
