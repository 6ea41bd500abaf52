"""Measured and forecast behaviour of the alarms: self-audit, page costs, detection delays."""
