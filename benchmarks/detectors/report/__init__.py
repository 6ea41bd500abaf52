"""Rows of the result, and its conclusions, tables and plots."""
