"""What looks wrong in prices that were read."""
