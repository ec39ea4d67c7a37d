"""From an image's pixels to the first layer: what the server feeds, and what the graph does to it."""
