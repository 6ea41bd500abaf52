"""Events that are no drift: of experiments, and of the judges themselves."""
