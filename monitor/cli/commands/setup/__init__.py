"""Commands for setting up: configuration, dashboards, notifications, version."""
