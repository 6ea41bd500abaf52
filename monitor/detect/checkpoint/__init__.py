"""Checkpoints: serialise the state of a feature partition, and restore it."""
