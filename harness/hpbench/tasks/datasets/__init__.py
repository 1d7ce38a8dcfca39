"""Data sets by name, and their splits."""
