"""The native format: one JSON object per record."""
