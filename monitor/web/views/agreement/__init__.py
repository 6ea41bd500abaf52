"""The report of a review queue: agreement, annotators, ratings of models, estimated quality."""
