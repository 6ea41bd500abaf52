"""Telemetry: counters, the Prometheus exporter, health, logging and the HTTP server."""
