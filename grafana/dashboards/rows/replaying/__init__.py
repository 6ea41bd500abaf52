"""Rows of the dashboard *Replay*."""
