"""Offline comparison of answers to the same prompts: reading, matching, paired tests, ratings."""
