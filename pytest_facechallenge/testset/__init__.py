"""Testsets: readers for the layouts in which face verification data comes, all giving one `Testset`."""

from pytest_facechallenge.testset.model import ListedPairs, Pictures, Pooling, Testset, TestsetError
from pytest_facechallenge.testset.reader import read_testset, recognise

__all__ = ["ListedPairs", "Pictures", "Pooling", "Testset", "TestsetError", "read_testset", "recognise"]
