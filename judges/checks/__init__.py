"""Deterministic checks of responses: a number for each sample, without a judge."""
