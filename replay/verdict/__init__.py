"""The verdict: paired statistics of a candidate against its baseline."""
