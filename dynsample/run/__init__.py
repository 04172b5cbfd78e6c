"""A run: its epochs, what was issued and observed, the boundary between epochs, and states."""
