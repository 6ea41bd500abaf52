"""Decisions of an experiment: what a look finds, and the verdicts that stay."""
