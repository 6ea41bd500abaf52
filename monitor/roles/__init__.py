"""The roles: each consumes from Kafka in its own consumer groups, processes, and produces."""
