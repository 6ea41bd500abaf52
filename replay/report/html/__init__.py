"""The report as a page without a script and without any request."""
