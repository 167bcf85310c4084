"""What a stored result was computed from, and every trial that was made."""
