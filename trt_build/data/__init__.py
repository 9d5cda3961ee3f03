"""Simulated scans to train on: anatomy and phantoms, coils, noise, masks, and the problem a network is handed."""
