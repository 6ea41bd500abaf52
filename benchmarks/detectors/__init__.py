"""Drift detectors against each other: false alarms, and delay at equal false-alarm rate."""
