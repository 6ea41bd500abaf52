"""Sections about what ingest reads and writes."""
