"""What is said when there is nothing to train on."""

__all__ = ["DataError"]


class DataError(ValueError):
    """A folder, a volume or a recipe cannot be used: the message says where, what came and what was wanted."""
