"""What runs cost: GPUs and their seconds, calls of judges and their dollars."""
