"""Features by name."""
