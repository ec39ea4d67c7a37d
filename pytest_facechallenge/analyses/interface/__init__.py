"""What the file declares: inputs, outputs, opsets, external data."""
