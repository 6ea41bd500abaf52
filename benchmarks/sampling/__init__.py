"""What sampling costs ingest: `python -m benchmarks.sampling`."""
