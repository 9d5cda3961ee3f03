"""GPU memory, streams and events behind a few functions, by pycuda or by its sibling cuda-python (cuda.bindings)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

__all__ = ["LAYERS", "Cuda", "Launch", "layer", "open_cuda"]

Launch: TypeAlias = Callable[[], None]
LAYERS: Final = {  # top-level module -> ours and how to get it; the first that is installed is taken
    "pycuda": "engines.backends.cuda_pycuda",
    "cuda": "engines.backends.cuda_python",
}


class Cuda(Protocol):
    """The first GPU, with one stream of our own. All but `close` must be called inside `current`."""

    name: str  # of the layer, with its version
    stream: int  # handle

    def current(self) -> AbstractContextManager[None]:
        """Make its context that of this thread, and let go of it again."""

    def allocate(self, size: int) -> int:
        """Address of `size` bytes on the GPU."""

    def free(self, address: int) -> None:
        """Give them back."""

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Make an array in host memory that the GPU copies from and to without a detour; it frees itself."""

    def upload(self, address: int, source: NDArray[Any]) -> None:
        """Start copying a pinned array to the GPU."""

    def download(self, target: NDArray[Any], address: int) -> None:
        """Start copying into a pinned array."""

    def synchronise(self) -> None:
        """Wait until everything that was started on the stream is done."""

    def mark(self) -> Any:
        """Record an event behind what was started so far."""

    def between_ms(self, first: Any, second: Any) -> float:
        """Milliseconds on the GPU between two events, once both have happened."""

    def capture(self, launch: Launch) -> Launch | None:
        """Turn what `launch` starts on the stream into a CUDA graph to replay; None where that cannot be done."""

    def close(self) -> None:
        """Release stream and context."""


def layer() -> str | None:
    """Name of the layer that is installed, or None."""
    return next((name for name in LAYERS if _installed(name)), None)


def open_cuda(name: str | None = None) -> Cuda:
    """Open the GPU through a layer, by default the one that is installed; raises EngineError where none works."""
    chosen = name or layer()
    if chosen is None:
        raise EngineError("got no CUDA layer, wanted pycuda or cuda-python; get one with: pip install 'scanside[gpu]'")
    try:
        opened: Cuda = import_module(LAYERS[chosen]).open_device()
    except (ImportError, OSError, RuntimeError, TypeError) as error:
        raise EngineError(f"{chosen} cannot open the GPU: {type(error).__name__}: {error}") from error
    return opened


def _installed(name: str) -> bool:
    """Whether a layer is here; other packages too put parts into the name space `cuda`."""
    try:
        return find_spec("cuda.bindings" if name == "cuda" else name) is not None
    except ModuleNotFoundError:
        return False
