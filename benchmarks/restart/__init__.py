"""Cost of durability: restart time, checkpoint cost and memory per model."""
