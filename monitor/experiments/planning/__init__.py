"""Users and days that an experiment needs, before it starts."""
