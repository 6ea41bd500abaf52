"""Judging of a stream of samples: the state of a partition, evaluators, budget blocks."""
