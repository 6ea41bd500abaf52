"""Console output: progress, tables and forecasts."""
