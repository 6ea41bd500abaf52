"""Tasks of a person: claim, submit, skip, undo; and what an admin decides about an item."""
