"""Exact sums of an experiment's metrics by bucket of users, and what a look at them returns."""
