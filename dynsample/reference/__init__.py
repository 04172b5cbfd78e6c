"""Slow and obvious: what every kernel and policy must equal, in numpy."""
