"""Decode log messages, extract features, and encode them as chunks."""
