"""The store of runs, items, baselines and decisions: SQLite or PostgreSQL."""
