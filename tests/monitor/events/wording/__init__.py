"""Tests of `monitor.events.wording`."""
