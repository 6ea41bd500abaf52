"""Drift events: their types, their JSON, and their text."""
