"""Findings that are no drift, of experiments and replays: their content in notifications."""
