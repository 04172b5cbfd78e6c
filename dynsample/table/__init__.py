"""Scores of all samples: columns, what was observed, the fold, and reductions over them."""
