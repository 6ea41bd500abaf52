"""A mapping of the user from any JSON to records."""
