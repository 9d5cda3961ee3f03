"""Whether an NVIDIA driver and GPU are here, asked of the driver itself and of no Python package.

TensorRT's own objects crash the process where there is no driver, so this is asked before any of them is made.
"""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Gpu", "driver", "gpu"]

LIBRARY = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU."""

    name: str
    capability: str  # of its multiprocessors, for example "9.0"
    driver: str  # newest CUDA that the driver speaks
    count: int

    def __str__(self) -> str:
        return f"for CUDA {self.driver}, {self.count} GPU: {self.name} ({self.capability})"


def driver(library: str = LIBRARY) -> str:
    """Say in a few words what the driver answers: its version and GPU, or why there is none."""
    return str(gpu(library))


@lru_cache
def gpu(library: str = LIBRARY) -> Gpu | str:
    """Ask for the first GPU, or why there is none; makes no context on it."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return f"none ({library} is not installed)"
    code = cuda.cuInit(0)
    release, gpus, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if not code:
        cuda.cuDriverGetVersion(ctypes.byref(release))
        cuda.cuDeviceGetCount(ctypes.byref(gpus))
        code = cuda.cuDeviceGet(ctypes.byref(device), 0)
    if code:
        return f"installed, but it answers {code}: no GPU that it can use"
    name, major, minor = ctypes.create_string_buffer(128), ctypes.c_int(), ctypes.c_int()
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    return Gpu(
        name.value.decode(errors="replace"),
        f"{major.value}.{minor.value}",
        f"{release.value // 1000}.{release.value % 1000 // 10}",
        gpus.value,
    )
