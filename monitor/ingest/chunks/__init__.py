"""Columns of features, and their encoding as chunks: the messages between ingest and detect."""
