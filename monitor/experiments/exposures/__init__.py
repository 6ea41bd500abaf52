"""Exposures: what a record contributes to an experiment, as columns, in Kafka and from records."""
