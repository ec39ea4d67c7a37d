"""The pytest plugin: options and hooks."""
