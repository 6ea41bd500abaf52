"""Message formats, one module for each kind of target."""
