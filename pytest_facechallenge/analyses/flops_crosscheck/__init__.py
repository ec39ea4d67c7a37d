"""A second count of the FLOPs by fvcore."""
