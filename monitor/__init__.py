"""The daemon: from inference logs in Kafka to drift alarms. ARCHITECTURE.md shows the way."""

__version__ = "0.1.0"
