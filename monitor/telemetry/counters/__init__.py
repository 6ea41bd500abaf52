"""Counters of the roles, which the exporter reads."""
