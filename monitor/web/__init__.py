"""The daemon's one HTTP port: metrics and health."""
