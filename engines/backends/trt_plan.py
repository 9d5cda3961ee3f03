"""ONNX to a TensorRT plan, by TensorRT 10, 11 or TensorRT-RTX: bytes in, bytes out. Needs no GPU under RTX.

Networks are strongly typed: arithmetic is what the ONNX says, as in TensorRT 11, which knows nothing else. Only up to
TensorRT 10 half precision can be asked for besides. TF32 is off: its ten bits would not pass the self-test, and a plan
of this size gains nothing that a scan would notice.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from engines.card import Graph
from engines.errors import EngineError
from engines.shapes import shape_of

__all__ = ["PROFILES", "Notes", "build_plan", "precision_of"]

Sizes = dict[str, tuple[int, int, int]]  # symbol -> smallest, usual, largest
_SIDE: Final = (8, 256, 512)
PROFILES: Final[Mapping[str, Sizes]] = {  # of a whole graph; a cascade has no inverse and needs the first only
    "dense": {"frame": (1, 1, 4), "y": _SIDE, "x": _SIDE, "group": _SIDE, "alias": _SIDE},
    "blocks": {"frame": (1, 1, 4), "y": _SIDE, "x": _SIDE, "group": (8, 16384, 131072), "alias": (2, 4, 8)},
}
WORKSPACE: Final = 4 << 30  # bytes; a copy of the largest inverse is 1 GiB


class Notes:
    """What TensorRT said that was an error; its own recorders crash when they are let go of."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def logger(self, trt: Any) -> Any:
        """A logger that keeps errors and passes nothing on."""
        errors = self.errors

        class Logger(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                    errors.append(message)

        return Logger()

    def __str__(self) -> str:
        return "; ".join(self.errors[:3]) or "no reason given"


def precision_of(trt: Any, precisions: tuple[str, ...]) -> str:
    """Arithmetic that this TensorRT would take of those that were verified."""
    return "fp16" if "fp16" in precisions and hasattr(trt.BuilderFlag, "FP16") else "single"


def build_plan(
    trt: Any, onnx: bytes, graph: Graph, precision: str, told: Callable[[str, int, int], None] | None = None
) -> bytes:
    """Build the plan of a graph; `told` hears of phases: name, steps done, steps in all.

    Raises EngineError with what TensorRT said.
    """
    notes = Notes()
    logger = notes.logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(0 if precision == "fp16" else _strongly_typed(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        said = "; ".join(_problem(parser.get_error(n)) for n in range(parser.num_errors))
        raise EngineError(f"{trt.__name__} {trt.__version__} cannot take this graph: {said or notes}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    config.clear_flag(trt.BuilderFlag.TF32)
    if precision == "fp16":
        config.set_flag(trt.BuilderFlag.FP16)
    for name, sizes in PROFILES.items():
        if name == "dense" or "inverse" in graph.inputs:
            _add_profile(builder, config, graph, sizes)
    if told is not None:
        config.progress_monitor = _monitor(trt, told)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"{trt.__name__} {trt.__version__} cannot build this graph: {notes}")
    return bytes(plan)


def _problem(error: Any) -> str:
    operator = getattr(error, "node_operator", str)()  # not in every TensorRT 10
    return f"{operator} ({error.node_name()}): {error.desc()}" if operator else str(error.desc())


def _strongly_typed(trt: Any) -> int:
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _add_profile(builder: Any, config: Any, graph: Graph, sizes: Sizes) -> None:
    profile = builder.create_optimization_profile()
    for name, port in graph.inputs.items():
        profile.set_shape(name, *(shape_of(port, {s: n[at] for s, n in sizes.items()}) for at in range(3)))
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(f"TensorRT does not take the profile {dict(sizes)}")


def _monitor(trt: Any, told: Callable[[str, int, int], None]) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._lock = threading.Lock()

        def phase_start(self, phase: str, _parent: str | None, steps: int) -> None:
            with self._lock:
                self._steps[phase] = steps
            told(phase, 0, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            told(phase, step + 1, self._steps.get(phase, step + 1))
            return True

        def phase_finish(self, phase: str) -> None:
            steps = self._steps.get(phase, 1)
            told(phase, steps, steps)

    return Monitor()
