"""Tests of `monitor.experiments`."""
