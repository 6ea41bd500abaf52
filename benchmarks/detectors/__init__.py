"""Comparison of drift detectors: false alarms, and delay at equal false-alarm rates."""
