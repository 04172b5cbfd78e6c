"""Files that survive: states in generations, locks, checked headers, names that are on the disk."""
