"""Rows of the dashboard *Judged quality*."""
