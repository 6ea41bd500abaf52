"""The same job in two stream processors: parse every record, and one statistic of a window.

The modules run in the environment of `make streaming-peers`, which does not contain Plumbline. They
use nothing of the project except `stopwatch`.
"""
