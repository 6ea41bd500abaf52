"""The roles, each a consumer group: the only modules that bring Kafka and our logic together."""
