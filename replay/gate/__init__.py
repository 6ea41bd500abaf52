"""The gate for pipelines: criteria written down beforehand, stages, decisions and reports."""
