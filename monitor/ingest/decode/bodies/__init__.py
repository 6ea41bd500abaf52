"""Requests and responses of model APIs, which many formats contain."""
