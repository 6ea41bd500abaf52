"""The gate of pipelines: decision criteria, stages and their reports."""
