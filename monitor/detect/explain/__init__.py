"""Explanations of drift events: what changed, by how much and since when."""
