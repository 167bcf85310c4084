"""What happened, and was it luck."""
