"""Grafana dashboards and Prometheus alert rules. They depend on the daemon's metrics only."""
