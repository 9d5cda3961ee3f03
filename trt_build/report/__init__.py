"""What the shipped network reaches beside what a user would take instead, on the same samples."""
