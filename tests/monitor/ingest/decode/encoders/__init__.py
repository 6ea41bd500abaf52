"""Encoders of calls in the log formats, a module each, for tests."""
