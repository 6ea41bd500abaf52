"""Refusals: which responses decline to answer, in twenty languages and by the user's patterns."""
