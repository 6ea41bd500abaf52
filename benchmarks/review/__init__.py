"""Simulated review queues: how well the mean of all items is estimated from few labels."""
