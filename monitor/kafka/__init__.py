"""Kafka: clients, topics, offsets, messages and transactions."""
