"""order: readouts that come late, and readouts that never come, by the scanner's own numbers and clock."""

from collections.abc import Iterator

from engines.quality.order import ran_back, steady
from gadgets.context import Context
from gadgets.raw_verdict import behind, place, verdict
from protocols.events import Flag, Severity
from protocols.messages import Readouts, Record
from protocols.stream import Node

__all__ = ["order"]

MOST_MISSED = 4096  # numbers that are waited for; those left out beyond count as lost
MOST_NAMED = 64  # numbers that evidence names
LATE = "lines are placed by their encode step; where no line is missing the image is whole, but tell service"
LOST = "repeat the slices that miss lines, and let service check the way from the scanner"


def order(context: Context) -> Node:
    """Follow scan_counter and time stamp: readouts that others overtook, a clock that ran back, numbers left out.

    `readout_order` counts the readouts that came late, `lost_readouts` the numbers that never came; each is said once,
    at the end, with the first one. A sequence may acquire encode steps in any order: they are not looked at. A counter
    that comes back to its first number begins a new part; one that stands still tells nothing, which is UNKNOWN.
    """
    return behind(lambda: _Tally(context))


class _Tally:
    """What has come of one scan, by its numbers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._readouts = 0
        self._first = self._highest = self._stamp = 0
        self._repeated = 0
        self._missed: dict[int, dict[str, int]] = {}  # number left out -> where the readout after it belongs
        self._lost = 0  # of what is no longer waited for
        self._late: list[int] = []
        self._back = 0
        self._where: dict[str, int] = {}  # of the first readout out of order

    def take(self, message: Readouts) -> Iterator[Flag]:
        """Count a batch; where all is well, that is a few comparisons."""
        headers = message.headers
        numbers, stamps = headers["scan_counter"], headers["acquisition_time_stamp"]
        if not self._readouts:
            self._first, self._stamp = int(numbers[0]), int(stamps[0])
            self._highest = self._first - 1
        self._readouts += len(numbers)
        if steady(numbers, self._highest):
            self._highest = int(numbers[-1])
            back = ran_back(stamps, self._stamp).tolist()
            self._note(headers[back[0]] if back else None)
            self._back += len(back)
            self._stamp = int(stamps[-1])
        else:
            for header in headers:
                self._step(header)
        yield from ()

    def close(self) -> Iterator[Flag]:
        """Say what came late and what never came."""
        if self._readouts < 2:
            return
        if self._repeated == self._readouts - 1:
            text = "scan_counter stands still, so late and lost readouts cannot be told"
            yield self._context.flag("readout_order", Severity.UNKNOWN, text)
            return
        yield self._out_of_order()
        yield self._never_came()

    def _step(self, header: Record) -> None:
        """Follow one readout that is perhaps not the next one."""
        number = int(header["scan_counter"])
        if number > self._highest:
            self._leave_out(number, header)
            self._highest = number
            stamp = int(header["acquisition_time_stamp"])
            back = len(ran_back(header["acquisition_time_stamp"].reshape(1), self._stamp))
            self._note(header if back else None)
            self._back, self._stamp = self._back + back, stamp
        elif number in self._missed:
            del self._missed[number]
            self._note(header)
            self._late.append(number)
        elif number == self._highest:
            self._repeated += 1
        elif number == self._first:
            self._highest, self._stamp = number, int(header["acquisition_time_stamp"])
            self._lost += len(self._missed)
            self._missed.clear()

    def _leave_out(self, number: int, header: Record) -> None:
        """Wait for the numbers before one that came too early, as far as there is room."""
        room = MOST_MISSED - len(self._missed)
        waited = range(self._highest + 1, min(number, self._highest + 1 + room))
        self._missed.update(dict.fromkeys(waited, place(header)))
        self._lost += number - self._highest - 1 - len(waited)

    def _note(self, header: Record | None) -> None:
        if header is not None and not self._where:
            line = int(header["idx"]["kspace_encode_step_1"])
            self._where = {**place(header), "line": line, "readout": int(header["scan_counter"])}

    def _out_of_order(self) -> Flag:
        count = len(self._late) + self._back
        text = f"{len(self._late)} of {self._readouts} readouts came late, and the clock ran back {self._back} times"
        if self._where:
            text += f"; first: readout {self._where['readout']}, line {self._where['line']}"
        evidence: dict[str, object] = {**self._where, "readouts": self._late[:MOST_NAMED]} if count else {}
        return verdict(self._context, "readout_order", count, text, "readouts", evidence=evidence, advice=LATE)

    def _never_came(self) -> Flag:
        count = self._lost + len(self._missed)
        text = f"{count} readouts never came, by the numbers of those that did"
        evidence: dict[str, object] = {}
        if self._missed:
            number, where = next(iter(self._missed.items()))
            text += f"; first: readout {number}, in slice {where['slice']}"
            evidence = {**where, "readouts": list(self._missed)[:MOST_NAMED]}
        return verdict(self._context, "lost_readouts", count, text, "readouts", evidence=evidence, advice=LOST)
