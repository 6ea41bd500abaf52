"""The commands of `plumbline`, one module per group.

Each module defines `add(commands)`, which adds its parsers. A command imports its dependencies when
it runs, so that `plumbline version` does not import scipy.
"""
