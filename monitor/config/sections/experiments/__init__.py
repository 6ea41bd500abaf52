"""The section `experiments`."""
