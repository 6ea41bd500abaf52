"""The JSON API under /api/v1: routes that call views and review functions, and nothing else."""
