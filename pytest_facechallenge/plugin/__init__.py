"""The pytest plugin: options, collection, tests, and what the run prints. The only package that imports pytest."""
