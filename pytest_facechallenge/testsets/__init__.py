"""Testsets: readers for the layouts in which face verification data comes, all giving one `Testset`."""

from pytest_facechallenge.testsets.model import Images, ListedPairs, Pooling, Testset, TestsetError
from pytest_facechallenge.testsets.reader import read_testset, recognise

__all__ = ["Images", "ListedPairs", "Pooling", "Testset", "TestsetError", "read_testset", "recognise"]
