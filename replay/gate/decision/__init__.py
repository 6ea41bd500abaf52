"""Statistics of the dimensions of a gate: bounds, comparisons, the weighted balance."""
