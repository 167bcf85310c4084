"""Networks put together from feature extractors, with a head for each task."""
