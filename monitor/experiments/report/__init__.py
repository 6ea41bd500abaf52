"""Reports of experiments: the summary of a report, and cards as text."""
