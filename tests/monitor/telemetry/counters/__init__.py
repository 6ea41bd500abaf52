"""Tests of `monitor.telemetry.counters`."""
