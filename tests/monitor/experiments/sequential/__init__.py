"""Tests of `monitor.experiments.sequential`."""
