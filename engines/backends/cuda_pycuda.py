"""The GPU through pycuda."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.cuda_graph import capture
from engines.errors import EngineError

__all__ = ["open_device"]


class _Device:
    """See cuda.Cuda."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.name = f"pycuda {version('pycuda')}"
        self._context = driver.Device(0).retain_primary_context()  # the one that TensorRT uses too
        self._memory: dict[int, Any] = {}
        with self.current():
            self._stream = driver.Stream(1)  # CU_STREAM_NON_BLOCKING
        self.stream = int(self._stream.handle)

    @contextmanager
    def current(self) -> Iterator[None]:
        self._context.push()
        try:
            yield
        except self._driver.Error as error:
            raise EngineError(f"CUDA, through pycuda: {error}") from error
        finally:
            self._driver.Context.pop()

    def allocate(self, size: int) -> int:
        memory = self._driver.mem_alloc(max(size, 1))
        self._memory[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        self._memory.pop(address).free()

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        return np.asarray(self._driver.pagelocked_empty(shape, dtype))

    def upload(self, address: int, source: NDArray[Any]) -> None:
        self._driver.memcpy_htod_async(address, source, self._stream)

    def download(self, target: NDArray[Any], address: int) -> None:
        self._driver.memcpy_dtoh_async(target, address, self._stream)

    def synchronise(self) -> None:
        self._stream.synchronize()

    def mark(self) -> Any:
        event = self._driver.Event()
        event.record(self._stream)
        return event

    def between_ms(self, first: Any, second: Any) -> float:
        return float(first.time_till(second))

    def capture(self, launch: Callable[[], None]) -> Callable[[], None] | None:
        try:
            here = find_spec("cuda.bindings") is not None
        except ModuleNotFoundError:
            here = False
        return capture(self.stream, launch) if here else None

    def close(self) -> None:
        with self.current():
            for memory in self._memory.values():
                memory.free()
            self._memory.clear()
            del self._stream
        self._context.detach()


def open_device() -> _Device:
    """Open the first GPU; raises EngineError where the driver refuses."""
    import pycuda.driver

    try:
        pycuda.driver.init()
        return _Device(pycuda.driver)
    except pycuda.driver.Error as error:
        raise EngineError(f"pycuda cannot open the GPU: {error}") from error
