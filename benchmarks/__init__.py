"""Benchmarks of throughput, restarts, memory, detection delay and false alarms."""
