"""Spans and logs of OpenTelemetry with attributes of generative AI."""
