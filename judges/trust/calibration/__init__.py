"""Calibration: how a judge compares with human labels, and where it should pass answers."""
