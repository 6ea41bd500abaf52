"""Precision and recall of the refusal classifier on labelled responses."""
