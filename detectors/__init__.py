"""Drift detectors: numerical code only, one detector a file.

A `Baseline` and a `Window` are the input, boolean masks and `Readings` the output. The package
imports nothing else of the project. `registry.create` builds detectors by name.
"""
