"""Rows that are long enough for a file of their own; `row()` makes them."""
