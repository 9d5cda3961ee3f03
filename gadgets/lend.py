"""Networks for all connections of a server: each is opened once, warmed up and tested, and runs in its own thread.

A thread of its own because a GPU's context belongs to the thread that made it, and because two frames computed side by
side on the same processors would both be late.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import structlog
from numpy.typing import NDArray

from engines.errors import EngineError
from gadgets.rush import Rush
from protocols.priority import JUDGING, stand_back

if TYPE_CHECKING:  # imported where the first network is opened: a server without networks does without them
    from engines.engine import Engine
    from engines.model import Model

__all__ = ["Lender", "Loan", "Opened"]

THREADS: Final = 2  # of a network that frames wait for
PATIENCE_S: Final = 5.0  # an engine that says nothing for so long is given up for this frame
Tensors = Mapping[str, NDArray[Any]]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A network that is ready to run, and how it was chosen."""

    model: "Model"
    whole: "Engine"
    cascades: "tuple[Engine, ...]"  # graphs besides `model`; empty where the model has none
    why_not: Mapping[str, str]  # backend that was passed over -> reason

    @property
    def hidden(self) -> int:
        """Channels of the state that the cascades hand on."""
        return int(self.model.graph("cascade_0").inputs["hidden"].shape[1])

    @property
    def runs_on(self) -> str:
        """Backend, its version, its arithmetic."""
        return f"{self.whole.backend} {self.whole.version} ({self.whole.precision})"

    @property
    def passed(self) -> str:
        """Backends that were passed over, each with the reason; empty where there were none."""
        return "; ".join(f"{name}: {why}" for name, why in self.why_not.items())

    @property
    def signed_by(self) -> str:
        """Fingerprint of the trusted key that vouches for the model, or that there is none."""
        return self.model.signed_by or "unsigned"

    @property
    def told(self) -> str:
        """One sentence for people."""
        card, passed = self.model.card, self.passed
        return f"{card.name} {card.version} runs on {self.runs_on}" + (f"; not on {passed}" if passed else "")


Rehearse: TypeAlias = Callable[[Opened], None]  # does once what the first frame would else wait for


def _nothing(_opened: Opened) -> None:
    """Rehearse nothing."""


class Loan:
    """One network and the thread that it lives in."""

    def __init__(
        self,
        name: str,
        backends: tuple[str, ...],
        rush: Rush,
        rehearse: Rehearse = _nothing,
        *,
        allow_unsigned: bool = False,
        stands_back: bool,
    ) -> None:
        self.name = name
        self._rehearse = rehearse
        self._rush = rush
        self._stands_back = stands_back
        self._allow_unsigned = allow_unsigned
        self._threads = 1 if stands_back else THREADS
        self._stack = ExitStack()
        self._closed = threading.Event()
        self._said: set[str] = set()
        slow = (stand_back, (JUDGING,)) if stands_back else ()
        self._thread = ThreadPoolExecutor(1, f"engine {name}", *slow)
        self._opening: Future[Opened] = self._thread.submit(self._open, backends)

    def state(self) -> Opened | str:
        """The network, or why it cannot be used now; never waits."""
        if not self._opening.done():
            return "is still being opened"
        error = self._opening.exception()
        return self._opening.result() if error is None else str(error)

    def wait(self, timeout_s: float) -> Opened | str:
        """Wait for the network to be opened, within reason."""
        try:
            self._opening.exception(timeout_s)
        except NotInTime:
            return f"was not opened within {timeout_s:g} s"
        return self.state()

    def run(self, engine: "Engine", tensors: dict[str, NDArray[Any]], patience_s: float = PATIENCE_S) -> Tensors:
        """Run a graph with the tensors that it takes; raises EngineError for whatever goes wrong, silence too."""
        taken = {name: tensors[name] for name in engine.model.graph(engine.graph).inputs}
        running = self._thread.submit(self._computed, engine, taken)
        try:
            return running.result(patience_s)
        except NotInTime:
            running.cancel()
            raise EngineError(f"no answer within {patience_s:g} s") from None
        except EngineError:
            raise
        except Exception as error:
            log.exception("an engine failed", model=self.name)
            raise EngineError(f"{type(error).__name__}: {error}") from error

    def _computed(self, engine: "Engine", taken: Tensors) -> Tensors:
        if self._stands_back:
            self._rush.sit_out()
        return engine(taken)

    def close(self) -> None:
        """Free the engine in the thread that opened it; one that does not answer is left behind.

        One that is still being opened gets no further than the graph it is at.
        """
        self._closed.set()
        closing = self._thread.submit(self._stack.close)
        try:
            closing.result(PATIENCE_S)
        except NotInTime:
            log.warning("an engine does not answer; it is left behind", model=self.name)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _open(self, backends: tuple[str, ...]) -> Opened:
        from engines.model import load_model

        try:
            model = load_model(self.name, allow_unsigned=self._allow_unsigned)
            if model.signed_by is None:
                log.warning("a network that no trusted key has signed, as --allow-unsigned asks", model=self.name)
            whole, why_not = self._first(model, backends)
            cascades = self._cascades(model, whole.backend)
        except EngineError as error:
            log.warning("a network cannot be used", model=self.name, reason=str(error))
            raise
        except Exception as error:
            log.exception("a network cannot be used", model=self.name)
            raise EngineError(f"{type(error).__name__}: {error}") from error
        opened = Opened(model, whole, cascades, why_not)
        try:
            self._rehearse(opened)
        except Exception as error:  # noqa: BLE001 - whoever runs it hears of it again
            log.warning("a network could not be rehearsed", model=self.name, reason=f"{type(error).__name__}: {error}")
        log.info("engine", model=self.name, hash=model.hash[:12], told=opened.told)
        return opened

    def _first(self, model: "Model", backends: tuple[str, ...]) -> "tuple[Engine, Mapping[str, str]]":
        """The first backend that works, and why those before it do not."""
        why_not: dict[str, str] = {}
        for backend in backends:
            try:
                engine = self._enter(model, backend, "model")
            except EngineError as error:
                why_not[backend] = str(error)
            else:
                return engine, {**why_not, **engine.why_not}
        raise EngineError("; ".join(f"{backend}: {why}" for backend, why in why_not.items()))

    def _cascades(self, model: "Model", backend: str) -> "tuple[Engine, ...]":
        """Its other graphs: the network in parts, for a frame whose inverse is not there, or a second network."""
        names = sorted(name for name in model.card.graphs if name != "model")
        try:
            return tuple(self._enter(model, backend, name) for name in names)
        except EngineError as error:
            log.warning("a network without its other graphs", model=self.name, reason=str(error))
            return ()

    def _enter(self, model: "Model", backend: str, graph: str) -> "Engine":
        from engines.engine import open_engine

        if self._closed.is_set():
            raise EngineError("it was closed while it was being opened")
        return self._stack.enter_context(
            open_engine(model, backend, graph=graph, threads=self._threads, tell=self._tell)
        )

    def _tell(self, line: str) -> None:
        """Log what an engine has to say, each line once: every graph says the same of the same folder of plans."""
        if line not in self._said:
            self._said.add(line)
            log.info("an engine says", model=self.name, told=line)


class Lender:
    """Whoever asks for a network first has it opened, and everybody after that shares it."""

    def __init__(self, *, allow_unsigned: bool = False) -> None:
        self.rush = Rush()
        self._allow_unsigned = allow_unsigned
        self._loans: dict[tuple[str, tuple[str, ...], bool], Loan] = {}
        self._lock = threading.Lock()

    def borrow(
        self, name: str, backends: tuple[str, ...], rehearse: Rehearse = _nothing, *, stands_back: bool = False
    ) -> Loan:
        """A network by its model's name or folder; begins to open it at once, and does not wait.

        It is not `Opened` before whoever asks for it first has had it rehearsed, in its thread.

        One that `stands_back`, because nothing waits for what it says, has one processor, when it is free, and sits out
        a rush.
        """
        key = name, backends, stands_back
        with self._lock:
            if key not in self._loans:
                self._loans[key] = Loan(
                    name, backends, self.rush, rehearse, allow_unsigned=self._allow_unsigned, stands_back=stands_back
                )
            return self._loans[key]

    def engines(self) -> dict[str, str]:
        """What runs each network, or why nothing does, by model: for Health."""
        with self._lock:
            loans = list(self._loans.values())
        states = {loan.name: loan.state() for loan in loans}
        return {name: state if isinstance(state, str) else state.runs_on for name, state in states.items()}

    def close(self) -> None:
        """Free every engine."""
        with self._lock:
            loans, self._loans = list(self._loans.values()), {}
        for loan in loans:
            loan.close()
