"""Criteria of a gate: their model, and the explanation of what is wrong in a file."""
