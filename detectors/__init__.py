"""Drift detectors: pure numerics, one detector a file.

This package knows nothing of Kafka, of records or of any other package here: a `Baseline` and a
`Window` go in, `Readings` come out. `registry.create` is the door.
"""
