"""What past runs say about items, and what a set can show."""
