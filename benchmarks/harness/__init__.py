"""Code shared by the benchmarks of the daemon: the daemon process and message production."""
