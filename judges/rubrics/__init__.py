"""Rubrics, the calls made from them, and the verdicts of judges."""
