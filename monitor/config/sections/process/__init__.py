"""Sections of the process itself: `state`, `http`, `log` and `web`."""
