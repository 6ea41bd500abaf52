"""Readers of topics without a consumer group."""
