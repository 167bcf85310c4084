"""The best analyst of each symbol: searched, kept, and promoted when it is better on later sessions."""
