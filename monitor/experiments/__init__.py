"""Live A/B comparison: assignment, bucket sums, sequential tests, decisions, reports."""
