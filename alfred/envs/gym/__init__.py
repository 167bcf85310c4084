"""The environments of gymnasium: one portfolio, or many in lock-step."""
