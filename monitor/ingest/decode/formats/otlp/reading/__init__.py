"""From the bytes of a message to spans and log records, with the attributes that are wanted."""
