"""Building of evaluation sets: redaction, duplicates, selection."""
