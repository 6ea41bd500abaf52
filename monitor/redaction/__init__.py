"""Redaction of personal data and secrets in texts."""
