"""Whether an NVIDIA driver and GPU are here, asked of the driver itself and of no Python package."""

import ctypes

__all__ = ["driver"]

LIBRARY = "libcuda.so.1"


def driver(library: str = LIBRARY) -> str:
    """Say in a few words what the driver answers: its version and number of GPUs, or why there is none."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return f"none ({library} is not installed)"
    code = cuda.cuInit(0)
    if code:
        return f"installed, but cuInit answers {code}: no GPU that it can use"
    release, gpus = ctypes.c_int(), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(release))
    cuda.cuDeviceGetCount(ctypes.byref(gpus))
    return f"for CUDA {release.value // 1000}.{release.value % 1000 // 10}, {gpus.value} GPU"
