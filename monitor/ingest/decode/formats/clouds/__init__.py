"""Logs of cloud services and serving platforms."""
