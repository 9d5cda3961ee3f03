"""TensorRT 10.13, TensorRT 11 and TensorRT-RTX through one adapter: what is used of them is the same.

Plans are built where they run, from the ONNX, and kept in the user's cache: a plan fits one GPU, driver and version.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from engines.backends.cuda import Cuda, layer, open_cuda
from engines.backends.interface import Job, Opened, refused
from engines.backends.trt_plan import PROFILES, Notes, build_plan, precision_of
from engines.backends.trt_session import Session
from engines.driver import Gpu, gpu
from engines.errors import EngineError

__all__ = ["Adapter"]


@dataclass(frozen=True, slots=True)
class Adapter:
    """One of TensorRT's packages; a backend (interface.py)."""

    name: str
    modules: tuple[str, ...]  # the first that is installed is taken
    builds_anywhere: bool  # without a GPU too
    how: str  # to get it

    def missing(self) -> str | None:
        """Say why it cannot run here, or None: library, GPU, and a layer for the GPU's memory."""
        if self._module() is None:
            return f"not installed; get it with: {self.how}"
        here = gpu()
        if not isinstance(here, Gpu):
            return f"no GPU: driver {here}"
        return None if layer() else "neither pycuda nor cuda-python is installed; get one with: pip install pycuda"

    def load(self) -> Any:
        """Import the library; raises EngineError where it cannot be."""
        module = self._module()
        if module is None:
            raise EngineError(f"{self.name}: {self.missing()}")
        try:
            return import_module(module)
        except (ImportError, OSError, RuntimeError, TypeError) as error:
            raise EngineError(f"{self.name}: {module} cannot be imported: {type(error).__name__}: {error}") from error

    def key(self, trt: Any, job: Job) -> Mapping[str, str]:
        """All that a plan depends on."""
        here = gpu()
        return {
            "model": job.name.partition("/")[0],
            "graph": job.name.partition("/")[2],
            "hash": job.hash,
            "backend": self.name,
            "version": str(trt.__version__),
            "gpu": f"{here.name} ({here.capability})" if isinstance(here, Gpu) else "none",
            "driver": here.driver if isinstance(here, Gpu) else "none",
            "options": f"{precision_of(trt, job.precisions)} {PROFILES}",
        }

    def plan(self, trt: Any, job: Job) -> bytes:
        """Read the plan from the cache, or build and keep it; raises EngineError where there must be none."""
        key = self.key(trt, job)
        reason = refused(job, key)
        if reason is not None:
            raise EngineError(f"{self.name}, {job.name}: {reason}")
        kept = None if job.plans is None else job.plans.get(key)
        if kept is not None:
            return kept
        job.tell(f"{self.name}: building the plan of {job.name}")
        plan = build_plan(trt, job.onnx, job.graph, precision_of(trt, job.precisions))
        if job.plans is not None:
            job.plans.put(key, plan)
        return plan

    @contextmanager
    def open_graph(self, job: Job) -> Iterator[Opened]:
        """Load the plan onto the GPU, building it first where it is not kept."""
        if not isinstance(gpu(), Gpu):  # without a driver the library would crash the process
            raise EngineError(f"{self.name}: {self.missing()}")
        trt = self.load()
        plan = self.plan(trt, job)  # built before the GPU is taken
        cuda = open_cuda()
        try:
            session = self._session(trt, cuda, job, plan)
            try:
                yield Opened(session.infer, str(trt.__version__), precision_of(trt, job.precisions), self.key(trt, job))
            finally:
                session.close()
        finally:
            cuda.close()

    def _session(self, trt: Any, cuda: Cuda, job: Job, plan: bytes) -> Session:
        """Deserialise the plan; one that was kept and is not taken any more is built again, once."""
        notes = Notes()
        logger = notes.logger(trt)
        runtime = trt.Runtime(logger)
        with cuda.current():
            engine = runtime.deserialize_cuda_engine(plan)
            if engine is None and job.plans is not None and job.plans.forget(self.key(trt, job)):
                job.tell(f"{self.name}: the kept plan of {job.name} is not taken ({notes}); it is built again")
                engine = runtime.deserialize_cuda_engine(self.plan(trt, job))
            if engine is not None:
                return Session(engine, cuda, job, (runtime, logger))
        raise EngineError(f"{self.name} {trt.__version__} does not take the plan of {job.name} here: {notes}")

    def _module(self) -> str | None:
        return next((module for module in self.modules if find_spec(module)), None)
