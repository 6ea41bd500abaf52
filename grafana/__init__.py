"""What people look at in Grafana and Prometheus. It knows the daemon by its metrics alone."""
