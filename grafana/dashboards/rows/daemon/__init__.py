"""Rows about the daemon itself; `row()` returns the row."""
