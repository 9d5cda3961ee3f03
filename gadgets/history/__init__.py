"""History: what became of every scan, in an embedded store, without the patient's identity."""
