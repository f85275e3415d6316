"""The annotator's station: raters' pages, admin's pages and the server under them."""
