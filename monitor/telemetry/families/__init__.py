"""Metric families: their construction and their HELP texts."""
