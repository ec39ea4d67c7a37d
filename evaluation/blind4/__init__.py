"""The fourth blind set: networks as participants would write and export them, mostly with PyTorch."""
