"""Each symbol forecast by the analyst that a search found best for it."""
