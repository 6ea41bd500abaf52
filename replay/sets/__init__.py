"""Evaluation sets: items with their provenance, in immutable versions."""
