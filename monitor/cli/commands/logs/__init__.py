"""`plumbline decode` and `plumbline feed`: the messages of logs."""
