"""Prescriptions are put to the console over the bus: what it sets, refuses, or does not say is told as it answers."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
import zmq
from pydantic import ValidationError

from gadgets.context import Context
from protocols.bus import BusError
from protocols.bus_ask import Patience, replies, said_in
from protocols.bus_keys import join
from protocols.bus_sockets import connect, open_socket, own_context
from protocols.events import Flag, Prescription, Severity
from protocols.messages import Message
from protocols.prescription import Answer, contradiction, differences
from protocols.stream import Node

__all__ = ["Console", "Outcome", "Site", "asking", "put_to"]

CODE: Final = "console_answer"
DEFAULTS: Final = "the scan keeps its default planes"
ADVICE: Final = "look at the planes on the console before they are measured"
PATIENCE: Final = Patience(5.0, 2.0)  # a second answer is listened for, too
MOST: Final = 16  # prescriptions that may wait for the console
AT_ONCE: Final = 4  # are asked at the same time
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Site:
    """Where a console listens, with which keys, and for how long it is waited for."""

    address: str
    keys: Path | None = None
    patience: Patience = PATIENCE
    end_s: float = 1.0  # how long the end of a scan waits for answers; later ones are on the bus and in the log


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a prescription; PASS where the console does as it was asked."""

    severity: Severity
    text: str
    answer: Answer | None = field(default=None, compare=False)


def put_to(
    site: Site, asked: Prescription, context: "zmq.Context[zmq.Socket[bytes]] | None" = None
) -> Generator[Outcome, None, None]:
    """Ask a console to measure there, and tell of every answer as it comes; of a second one where it is another.

    Whatever is wrong, the exam goes on: with the values that the console has set, or with its own default planes.
    """
    before: Answer | None = None
    heard = False
    question = {"ask": "prescription", "prescription": asked.model_dump(mode="json")}
    for reply in replies(site.address, question, site.keys, site.patience, context):
        heard = True
        try:
            answer = _read(reply, site.address)
        except BusError as error:
            yield Outcome(Severity.UNKNOWN, f"{error}; what was set is not known")
            continue
        if before is not None and not (twice := contradiction(before, answer)):
            continue
        if before is not None:
            yield Outcome(Severity.WARN, twice)
        before = answer
        yield _outcome(asked, answer)
    if not heard:
        nobody = f"no answer from the console at {site.address} within {site.patience.first_s:g} s: {DEFAULTS}"
        yield Outcome(Severity.UNKNOWN, nobody)


def _read(reply: bytes, address: str) -> Answer:
    """An answer to a prescription; raises BusError for anything else."""
    try:
        return Answer.model_validate(said_in(reply, address, "prescription"))
    except ValidationError as error:
        detail = error.errors()[0]
        key = ".".join(map(str, detail["loc"])) or "as a whole"
        raise BusError(f"{address}: the answer cannot be read ({key}: {detail['msg']})") from None


def _outcome(asked: Prescription, answer: Answer) -> Outcome:
    other = differences(asked, answer)
    if not other:
        return Outcome(Severity.PASS, "the console set what was asked", answer)
    kept = f": {DEFAULTS}" if answer.decision == "refused" else ""
    return Outcome(Severity.WARN, "; ".join(other) + kept, answer)


class Console:
    """Asks a console in threads of its own, so that nothing waits; raises BusError for an address that is none."""

    def __init__(self, site: Site) -> None:
        with ExitStack() as stack:  # tried now, so that a wrong address ends the plugin's start and no scan
            connect(open_socket(stack, zmq.DEALER, join(site.address, site.keys), own_context(stack)), site.address)
        self.site = site
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._threads = ThreadPoolExecutor(AT_ONCE, "console")
        self._room = threading.BoundedSemaphore(MOST)

    def put(self, asked: Prescription, tell: Callable[[Outcome], None]) -> threading.Event:
        """Ask in a thread; `tell` hears everything there. Returns what is set once something was told."""
        told = threading.Event()
        if self._room.acquire(blocking=False):
            self._threads.submit(self._ask, asked, tell, told)
        else:
            full = f"the console was not asked, {MOST} prescriptions are waiting for its answer: {DEFAULTS}"
            tell(Outcome(Severity.UNKNOWN, full))
            told.set()
        return told

    def close(self) -> None:
        """Ask nothing more; answers that have not come are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._context.term()
        self._threads.shutdown()

    def _ask(self, asked: Prescription, tell: Callable[[Outcome], None], told: threading.Event) -> None:
        try:
            with closing(put_to(self.site, asked, self._context)) as outcomes:
                for outcome in outcomes:
                    log.info("console", prescription=asked.id, plan=asked.plan, told=outcome.text)
                    tell(outcome)
                    told.set()
        except zmq.ContextTerminated:
            log.info(
                "console", prescription=asked.id, plan=asked.plan, told="the plugin was stopped before it answered"
            )
        except Exception:
            log.exception("the console could not be asked", prescription=asked.id)
        finally:
            told.set()
            self._room.release()


def asking(context: Context, console: Console | None, tell: Callable[[Flag], None]) -> Node:
    """Put prescriptions to the console as they pass, if one is to be asked; images and MRD 1028 never wait for it.

    What it says is told as flags `console_answer`. The scan's end waits a little for what is still to come: an answer
    that is later is on the bus and in the log, as the connection is closed.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        asked: list[threading.Event] = []
        for message in messages:
            yield message
            if console is not None and isinstance(message, Prescription) and message.stack is not None:
                asked.append(console.put(message, _flagged(context, message, tell)))
        until = time.monotonic() + (console.site.end_s if console is not None else 0.0)
        for told in asked:
            told.wait(max(0.0, until - time.monotonic()))

    return node


def _flagged(context: Context, asked: Prescription, tell: Callable[[Flag], None]) -> Callable[[Outcome], None]:
    def heard(outcome: Outcome) -> None:
        if outcome.answer is not None:
            context.memory.answers.put((asked.id,), outcome.answer)
        advice = {} if outcome.severity is Severity.PASS else {"advice": ADVICE}
        evidence = {"plan": asked.plan, "prescription": asked.id}
        tell(context.flag(CODE, outcome.severity, f"{asked.plan}: {outcome.text}", evidence=evidence, **advice))

    return heard
