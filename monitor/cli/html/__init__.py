"""The HTML report of `plumbline backtest`: one file, without scripts and without other resources.

All text becomes part of an element tree, which escapes it; no markup is built from strings.
"""
