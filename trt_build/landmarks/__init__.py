"""Where landmarks of heads are: truth by registration, simulated scouts, training, export, report."""
