"""The HTTP server of a process: metrics, health, and the read-only JSON API."""
