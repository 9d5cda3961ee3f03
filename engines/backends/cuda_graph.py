"""CUDA graphs through cuda-python, on a stream by whoever made it: pycuda has none."""

from collections.abc import Callable
from typing import Any

from engines.errors import EngineError

__all__ = ["capture", "done"]


def done(answer: tuple[Any, ...]) -> Any:
    """What a call of cuda.bindings.driver gave, without its error code; raises EngineError with the code's name."""
    code, *values = answer
    if int(code):
        raise EngineError(f"CUDA: {code.name} ({int(code)})")
    return values[0] if len(values) == 1 else tuple(values)


def capture(stream: int, launch: Callable[[], None]) -> Callable[[], None]:
    """Record what `launch` starts on the stream, once, and give a function that starts all of it again.

    Addresses and shapes are part of the record. Raises EngineError where something in it cannot be recorded.
    """
    from cuda.bindings import driver

    handle = driver.CUstream(stream)
    done(driver.cuStreamBeginCapture(handle, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
    try:
        launch()
    except BaseException:
        driver.cuStreamEndCapture(handle)  # leaves the stream as it was; what is recorded is worth nothing
        raise
    recorded = done(driver.cuStreamEndCapture(handle))
    try:
        graph = done(driver.cuGraphInstantiate(recorded, 0))
    finally:
        driver.cuGraphDestroy(recorded)
    return _Replay(driver, graph, handle)


class _Replay:
    """A graph that is released with the last reference to it."""

    def __init__(self, driver: Any, graph: Any, stream: Any) -> None:
        self._driver, self._graph, self._stream = driver, graph, stream

    def __call__(self) -> None:
        done(self._driver.cuGraphLaunch(self._graph, self._stream))

    def __del__(self) -> None:
        self._driver.cuGraphExecDestroy(self._graph)
