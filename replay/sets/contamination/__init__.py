"""Contamination: which items of a set are in training or few-shot files."""
