"""Whether agents can learn here at all, and how much skill would be enough."""
