"""Decoders of log formats: from the messages of a log to records."""
