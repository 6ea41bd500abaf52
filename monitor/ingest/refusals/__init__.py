"""Refusals: which responses decline to answer, in nineteen languages and by the user's patterns."""
