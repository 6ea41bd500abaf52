"""Throughput of the daemon on logs of foreign formats."""
