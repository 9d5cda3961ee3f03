"""What a reconstruction function says when it was handed something it cannot use."""

from typing import Any

from numpy.typing import NDArray

__all__ = ["LinearError", "wanted_shape"]


class LinearError(ValueError):
    """An array or a parameter does not fit: the message says where, what came and what was wanted."""


def wanted_shape(where: str, array: NDArray[Any], *wanted: int | None) -> None:
    """Raise LinearError unless the array has the wanted shape; None stands for any length."""
    fits = array.ndim == len(wanted) and all(w in (None, n) for w, n in zip(wanted, array.shape, strict=True))
    if not fits:
        named = ", ".join("any" if w is None else str(w) for w in wanted)
        raise LinearError(f"{where}: got shape {array.shape}, wanted ({named})")
