"""The network that finds artefacts: k-space corrupted as physics does it, training, calibration, export."""
