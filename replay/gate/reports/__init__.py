"""Reports of a gate: JUnit XML, GitHub annotations and Markdown."""
