"""What a network is shown of an image to find artefacts in it, and how its answer is read."""
