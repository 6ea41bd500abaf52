"""Tests of `monitor.experiments.planning`."""
