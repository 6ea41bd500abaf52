"""Simulated replays: false verdicts and items needed, with a look after every chunk."""
