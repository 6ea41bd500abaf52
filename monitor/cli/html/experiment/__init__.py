"""The page of an experiment: one self-contained HTML file with a card for each variant."""
