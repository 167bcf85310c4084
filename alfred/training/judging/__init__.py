"""Walking everyone through the test, and what is said about it."""
