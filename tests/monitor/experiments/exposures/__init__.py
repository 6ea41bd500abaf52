"""Tests of monitor.experiments.exposures."""
