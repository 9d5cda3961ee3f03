"""Libraries that run networks, one file each, behind one interface; none is imported before it is asked for."""
