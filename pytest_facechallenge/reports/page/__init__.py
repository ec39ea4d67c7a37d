"""The parts of the HTML report: what a page shows, as data; templates, style sheet and script lie beside them."""
