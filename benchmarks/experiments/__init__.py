"""Simulated experiments: false winners while peeking, time to a decision, sample ratio mismatch."""
