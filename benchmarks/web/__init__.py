"""Benchmark of the pages of the web application."""
