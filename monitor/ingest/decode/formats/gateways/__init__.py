"""Logs of gateways between applications and models."""
