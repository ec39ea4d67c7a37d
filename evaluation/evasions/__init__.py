"""Evading networks, by how they evade: implicit batches, rows that influence each other, re-alignment."""
