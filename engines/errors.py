"""What goes wrong with compiled networks: the message says where, what came, what was wanted, what to type next."""

__all__ = ["EngineError", "ModelError"]


class EngineError(RuntimeError):
    """A network cannot be run here, or failed while it ran; the linear image is what is left."""


class ModelError(EngineError):
    """A model folder cannot be used: damaged, unsigned, or not what its card says."""
