"""Join what arrives later, such as feedback, with the records it belongs to. No Kafka."""
