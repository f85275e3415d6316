"""A report and its trees, as text, SVG and HTML."""
