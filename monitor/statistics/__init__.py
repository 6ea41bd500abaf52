"""Shared numerics: agreement, estimates that are corrected by human labels, correlations."""
