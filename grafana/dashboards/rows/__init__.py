"""Rows that are long enough for a module of their own; `row()` returns the row."""
