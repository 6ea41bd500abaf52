"""The runner: lm-eval in a process of its own, in chunks of items."""
