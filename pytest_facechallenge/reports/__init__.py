"""Views of a run: terminal and JSON. They decide nothing."""
