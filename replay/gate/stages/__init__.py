"""Stages of a gate: runs of a tier, labels of people, the canary, and their order."""
