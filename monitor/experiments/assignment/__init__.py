"""Assignment of units to variants: one by one, and vectorised for batches of records."""
