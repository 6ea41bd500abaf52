"""Tests of monitor.experiments.sums."""
