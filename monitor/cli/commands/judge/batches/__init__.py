"""Judging by the batch API: a file, and the samples of every night."""
