"""Evaluation sets as tasks of lm-eval: files, scoring, and scores that are computed after a run."""
