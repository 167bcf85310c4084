"""The blend: what all analysts said before, weighed by how right it was."""
