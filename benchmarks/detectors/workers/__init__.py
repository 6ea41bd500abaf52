"""Worker processes that run the tasks of the benchmark in two environments."""
