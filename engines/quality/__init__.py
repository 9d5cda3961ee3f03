"""Numerics of quality control: pure functions on arrays that say what is odd, and by how much."""
