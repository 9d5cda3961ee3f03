"""The GPU through cuda-python (cuda.bindings.driver)."""

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.cuda_graph import capture, done

__all__ = ["open_device"]


class _Device:
    """See cuda.Cuda."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.name = f"cuda-python {version('cuda-bindings')}"
        done(driver.cuInit(0))
        self._device = done(driver.cuDeviceGet(0))
        self._context = done(driver.cuDevicePrimaryCtxRetain(self._device))  # the one that TensorRT uses too
        self._memory: set[int] = set()
        self._open = True
        with self.current():
            self._stream = done(driver.cuStreamCreate(driver.CUstream_flags.CU_STREAM_NON_BLOCKING))
        self.stream = int(self._stream)

    @contextmanager
    def current(self) -> Iterator[None]:
        done(self._driver.cuCtxPushCurrent(self._context))
        try:
            yield
        finally:
            self._driver.cuCtxPopCurrent()

    def allocate(self, size: int) -> int:
        address = int(done(self._driver.cuMemAlloc(max(size, 1))))
        self._memory.add(address)
        return address

    def free(self, address: int) -> None:
        self._memory.remove(address)
        done(self._driver.cuMemFree(address))

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        size = max(int(np.prod(shape)) * dtype.itemsize, 1)
        portable = 1  # CU_MEMHOSTALLOC_PORTABLE: pinned for every context, so any thread may free it
        address = int(done(self._driver.cuMemHostAlloc(size, portable)))
        memory = (ctypes.c_byte * size).from_address(address)
        weakref.finalize(memory, self._release, address).atexit = False
        return np.ndarray(shape, dtype, memoryview(memory))

    def _release(self, address: int) -> None:
        if self._open:  # else it went with the context
            with self.current():
                self._driver.cuMemFreeHost(address)

    def upload(self, address: int, source: NDArray[Any]) -> None:
        done(self._driver.cuMemcpyHtoDAsync(address, source.ctypes.data, source.nbytes, self._stream))

    def download(self, target: NDArray[Any], address: int) -> None:
        done(self._driver.cuMemcpyDtoHAsync(target.ctypes.data, address, target.nbytes, self._stream))

    def synchronise(self) -> None:
        done(self._driver.cuStreamSynchronize(self._stream))

    def mark(self) -> Any:
        event = _Event(self._driver)
        done(self._driver.cuEventRecord(event.handle, self._stream))
        return event

    def between_ms(self, first: Any, second: Any) -> float:
        return float(done(self._driver.cuEventElapsedTime(first.handle, second.handle)))

    def capture(self, launch: Callable[[], None]) -> Callable[[], None] | None:
        return capture(self.stream, launch)

    def close(self) -> None:
        self._open = False
        with self.current():
            for address in self._memory:
                done(self._driver.cuMemFree(address))
            self._memory.clear()
            done(self._driver.cuStreamDestroy(self._stream))
        done(self._driver.cuDevicePrimaryCtxRelease(self._device))


class _Event:
    """An event that is released with the last reference to it."""

    def __init__(self, driver: Any) -> None:
        self._driver, self.handle = driver, done(driver.cuEventCreate(0))

    def __del__(self) -> None:
        self._driver.cuEventDestroy(self.handle)


def open_device() -> _Device:
    """Open the first GPU; raises EngineError where the driver refuses."""
    from cuda.bindings import driver

    return _Device(driver)
