"""Native code by Numba, for what NumPy and BLAS have nothing for; to import this takes half a second, so do it late."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from numba import njit, types

__all__ = ["compiled", "readable", "types"]

REORDERED: Final = {"reassoc", "contract", "nsz"}  # sums in any order; what is not finite stays so


def compiled(*signature: Any, reordered: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Native code, kept beside its file or in the user's cache; other threads run while it does.

    Sums may be `reordered` for speed. Where such code calls other native code their last digits depend on whether it
    was compiled in this process or comes from the cache.
    """
    fastmath = REORDERED if reordered else False
    compile_ = partial(njit, *signature, nogil=True, fastmath=fastmath, error_model="numpy", **options)

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return compile_(cache=True)(function)
        except RuntimeError:  # nowhere to keep it
            return compile_()(function)

    return decorate


def readable(number: Any, dimensions: int) -> Any:
    """An array in C order that is read, and may be one that cannot be written."""
    return types.Array(number, dimensions, "C", readonly=True)
