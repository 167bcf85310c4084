"""Agents of stable-baselines3, and what exists because of it."""
