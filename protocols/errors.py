"""Two families of errors: the peer's and our own."""

__all__ = ["LocalError", "PeerError", "Vanished"]


class PeerError(Exception):
    """The peer broke the protocol; the message says where, what came and what was wanted."""


class Vanished(PeerError):  # noqa: N818 - what happened, as the caller will say it
    """The peer left without CLOSE, perhaps in the middle of a message."""


class LocalError(Exception):
    """We ask of ourselves what cannot be: a mistake in the calling code, not in what came."""
