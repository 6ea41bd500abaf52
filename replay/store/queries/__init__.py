"""Queries over runs: list, show, compare, parity, benchmarks, export, verification."""
