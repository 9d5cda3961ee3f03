"""What an engine does beforehand with an array that is still being made and will come with many frames."""

from collections.abc import Callable
from typing import Any, TypeAlias

from numpy.typing import NDArray

__all__ = ["Ahead", "nothing_ahead"]

Ahead: TypeAlias = Callable[[NDArray[Any]], Callable[[slice], None]]
"""Given the array; what it returns is told of each part (along the first axis) that is done."""


def nothing_ahead(_array: NDArray[Any]) -> Callable[[slice], None]:
    """Do nothing before it is made."""
    return lambda _: None
