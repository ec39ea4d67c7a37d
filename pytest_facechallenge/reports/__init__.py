"""Views of a run: terminal, JSON and a page. They decide nothing."""
