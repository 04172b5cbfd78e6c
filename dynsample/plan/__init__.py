"""The plan of an epoch: selection, order, and how both are dealt to ranks."""
