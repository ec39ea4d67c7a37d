"""How a model's weights are stored: an inventory of the file, and where each number goes when the graph runs."""
