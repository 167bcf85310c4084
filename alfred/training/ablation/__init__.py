"""Ablation: what agents, analysts and the blend lose without each of what they read."""
