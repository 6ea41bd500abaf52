"""Statistics of human review: agreement by kind of task, annotators, and the priority queue."""
