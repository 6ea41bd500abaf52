"""Tests of metrics, health, logging and the HTTP server."""
