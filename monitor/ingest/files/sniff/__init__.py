"""Propose a format or a mapping for messages of a log, from a sample of them."""
