"""The fields of records as columns, ids and their hashes, and the names that limits cut off."""
