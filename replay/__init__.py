"""Replay: find out whether a model got worse, by evaluating it again through lm-eval.

It has evaluation sets, the runner, the verdict, the store of results and the gate of pipelines. It
imports nothing of Kafka: the role replay and the command line connect it to traffic.
"""
