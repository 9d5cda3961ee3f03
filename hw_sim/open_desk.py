"""The console's desk on the bus for a whole exam: the plugin asks there as soon as it prescribes, and is answered."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from hw_sim.desk import Taken, asked_in, health
from protocols.bus import Answers
from protocols.events import Prescription
from protocols.prescription import Answer, contradiction

__all__ = ["BY_MRD", "OpenDesk", "open_desk", "settled"]

Decide: TypeAlias = Callable[[Prescription], Answer | None]  # None: the console says nothing
ADDRESS: Final = "tcp://127.0.0.1:*"
ASKED_S: Final = 10.0  # how long a scan waits for the question about what it has been prescribed
BY_MRD: Final = "by MRD 1028 at the scan's beginning"
BY_BUS: Final = "over the bus (REQ/REP), when the plugin asked"


class OpenDesk:
    """What was asked over the bus, and answered; whoever runs the exam decides."""

    def __init__(self) -> None:
        self.address = ""
        self.decide: Decide = lambda _asked: None
        self._taken: dict[str, Taken | None] = {}
        self._changed = threading.Condition()

    def question(self, question: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Answer {"ask": "prescription", "prescription": {…}}, or say nothing."""
        asked = asked_in(question)
        answer = self.decide(asked)
        with self._changed:
            self._taken[asked.id] = None if answer is None else Taken(asked, answer)
            self._changed.notify_all()
        return None if answer is None else answer.model_dump(mode="json")

    def taken(self, asked: Prescription, patience_s: float = ASKED_S) -> Taken | None:
        """What was answered to a prescription; None where nothing was, or where it was not asked in time."""
        if asked.stack is None:  # nobody is asked to measure nowhere
            return None
        with self._changed:
            self._changed.wait_for(lambda: asked.id in self._taken, patience_s)
            return self._taken.get(asked.id)


@contextmanager
def open_desk() -> Iterator[OpenDesk]:
    """Be asked on a free port of this machine while the block lasts."""
    desk = OpenDesk()
    with Answers(ADDRESS, health, {"prescription": desk.question}) as answers:
        desk.address = answers.address
        yield desk


def settled(now: Taken, desk: OpenDesk | None) -> tuple[Taken, str]:
    """What is measured, and which way the plugin was told; what holds now goes before what was said over the bus."""
    before = None if desk is None else desk.taken(now.asked)
    if before is None:
        return now, BY_MRD
    if contradiction(before.answer, now.answer):
        return now, f"{BY_MRD}; otherwise than {BY_BUS} ({before.answer.decision})"
    return before, f"{BY_BUS}, and {BY_MRD}"
