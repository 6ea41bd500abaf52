"""What lies between a message and its content: compression, schemas, calls in several messages."""
