"""One plan under TensorRT: buffers on the GPU, shapes, launches, and CUDA graphs while shapes stay what they are.

An input array that cannot be written (`array.flags.writeable = False`), as the inverse of a series, is copied to the
GPU once and stays there as long as the same array comes.
"""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.cuda import Cuda, Launch
from engines.backends.interface import Job, Tensors
from engines.errors import EngineError

__all__ = ["Session"]


class Session:
    """A deserialised engine and the context of execution that its callers share, one after another."""

    def __init__(self, engine: Any, cuda: Cuda, job: Job, owner: Any = None) -> None:
        self._engine, self._cuda, self._job = engine, cuda, job
        self._owner = owner  # what must live as long as the engine
        self._lock = threading.Lock()
        self._contexts: dict[int, Any] = {}  # by profile
        self._context: Any = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, tuple[int, int]] = {}  # address, size
        self._host: dict[str, NDArray[Any]] = {}  # pinned
        self._kept: dict[str, NDArray[Any]] = {}  # inputs that lie on the GPU already
        self._launch: Launch = self._execute

    def infer(self, tensors: Tensors) -> dict[str, NDArray[Any]]:
        """Run the plan; several threads may call it, and wait for one another."""
        with self._lock, self._cuda.current():
            if {name: tensor.shape for name, tensor in tensors.items()} != self._shapes:
                self._prepare(tensors)
            self._upload(tensors)
            self._launch()
            for name in self._job.graph.outputs:
                self._cuda.download(self._host[name], self._addresses[name][0])
            self._cuda.synchronise()
            return {name: self._host[name].copy() for name in self._job.graph.outputs}

    def close(self) -> None:
        """Let go of contexts and buffers, in the order that TensorRT wants."""
        with self._lock, self._cuda.current():
            self._launch = self._execute
            self._context = None
            self._contexts.clear()
            self._engine = self._owner = None
            for address, _ in self._addresses.values():
                self._cuda.free(address)
            self._addresses.clear()
            self._host.clear()
            self._kept.clear()

    def _prepare(self, tensors: Tensors) -> None:
        """Set shapes, make room, run once to warm up, and record the graph."""
        self._shapes, self._launch = {}, self._execute
        self._kept.clear()
        self._context = self._context_for(tensors)
        for name, tensor in tensors.items():
            if not self._context.set_input_shape(name, tensor.shape):
                raise EngineError(f"{self._job.name}: the plan does not take {name!r} of shape {tensor.shape}")
            self._room(name, tensor.shape, tensor.dtype)
        unknown = self._context.infer_shapes()
        if unknown:
            raise EngineError(f"{self._job.name}: the plan leaves shapes open: {', '.join(unknown)}")
        for name in self._job.graph.outputs:
            self._room(name, tuple(self._context.get_tensor_shape(name)), np.dtype(np.float32))
        self._upload(tensors)
        self._execute()
        self._cuda.synchronise()
        if self._job.replay:
            self._launch = self._captured() or self._execute
        self._shapes = {name: tensor.shape for name, tensor in tensors.items()}

    def _captured(self) -> Launch | None:
        try:
            return self._cuda.capture(self._execute)
        except EngineError as error:
            self._job.tell(f"{self._job.name}: no CUDA graph, launched step by step: {error}")
            return None

    def _context_for(self, tensors: Tensors) -> Any:
        profile = self._profile(tensors)
        if profile not in self._contexts:
            context = self._engine.create_execution_context()
            if context is None or not context.set_optimization_profile_async(profile, self._cuda.stream):
                raise EngineError(f"{self._job.name}: no room on the GPU for an execution context")
            self._contexts[profile] = context
        return self._contexts[profile]

    def _profile(self, tensors: Tensors) -> int:
        """Number of the first profile whose range of shapes holds these."""
        for profile in range(self._engine.num_optimization_profiles):
            if all(self._holds(profile, name, tensor.shape) for name, tensor in tensors.items()):
                return profile
        told = ", ".join(f"{name} {tensor.shape}" for name, tensor in tensors.items())
        raise EngineError(f"{self._job.name}: got {told}, beyond every profile of the plan")

    def _holds(self, profile: int, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self._engine.get_tensor_profile_shape(name, profile)
        return all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True))

    def _room(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """See that a tensor has memory here and there, and tell the context where."""
        self._host[name] = self._cuda.pinned(shape, dtype)
        size = self._host[name].nbytes
        address, room = self._addresses.get(name, (0, -1))
        if room < size:
            if room >= 0:
                self._cuda.free(address)
                del self._addresses[name]
            address = self._cuda.allocate(size)
            self._addresses[name] = address, size
        self._context.set_tensor_address(name, address)

    def _upload(self, tensors: Tensors) -> None:
        for name, tensor in tensors.items():
            if tensor is self._kept.get(name):
                continue
            np.copyto(self._host[name], tensor)
            self._cuda.upload(self._addresses[name][0], self._host[name])
            if tensor.flags.writeable:
                self._kept.pop(name, None)
            else:
                self._kept[name] = tensor

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._cuda.stream):
            raise EngineError(f"{self._job.name}: TensorRT could not start")
