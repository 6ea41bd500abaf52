"""Sources of items: sampled traffic, files, and language models."""
