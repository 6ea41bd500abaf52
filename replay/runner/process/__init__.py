"""The process of a run: lm-eval's Python API in chunks. Started by `replay.runner.supervise`."""
