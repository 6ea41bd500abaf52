"""Reports of a run in Markdown, JSON and HTML."""
