"""What can go wrong in the simulator itself; the peer's mistakes are protocols' business."""

__all__ = ["LinkError", "SimulationError"]


class SimulationError(Exception):
    """Something that the simulator was asked for cannot be done; the message says what to type next."""


class LinkError(Exception):
    """The connection to the plugin could not be made, broke, or stayed silent for too long."""
