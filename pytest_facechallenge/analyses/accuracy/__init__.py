"""Accuracy on supplied testsets: which sets they serve, embedding, scoring; from testset to facts."""
