"""advice: what to do about a scan that is still running, made of the flags that have been raised."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from gadgets.context import Context
from protocols.advice import NAME, encode
from protocols.events import Advice, Again, Flag, Severity
from protocols.messages import Feedback, Image, Message, Text
from protocols.stream import Node

__all__ = ["advice"]

AGAIN: Final = ("navigator_mismatch", "missing_lines", "non_finite_samples", "calibration_mismatch")
ELSEWHERE: Final = ("patient_away", "calibration_mismatch")  # what follows has the patient in another place
REACHED: Final = "snr_reached"
COUNTERS: Final = ("slice", "contrast", "repetition")
COUNTED: Final = ("slice", "contrast", "repetition", "phase", "set")

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def advice(context: Context, abort_until: Share = 0.5, abort_share: Share = 0.5) -> Node:
    """Say as soon as it is known that a scan may stop, that slices should be acquired again, or that it is lost.

    Reacquire: frames whose lines are missing or no numbers, or during which the patient moved. Abort: the patient stays
    elsewhere, as long as at most `abort_until` of the frames are done, for then starting again costs no more time than
    going on; or `abort_share` of all frames would have to be acquired again. Stop: the signal-to-noise ratio that was
    wanted is reached. It goes over the bus, as MRD 1028 `ScansideAdvice`, and to the console's log; nobody has to obey.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        desk = _Desk(context, abort_until, abort_share)
        for message in messages:
            yield message
            if isinstance(message, Image):
                desk.done.add(tuple(int(message.header[name]) for name in COUNTERS))
            for flag in message.flags if isinstance(message, Image) else [message]:
                if isinstance(flag, Flag):
                    yield from desk.take(flag)

    return node


class _Desk:
    """What has been said of one scan."""

    def __init__(self, context: Context, abort_until: float, abort_share: float) -> None:
        self.done: set[tuple[int, ...]] = set()  # frames that have become an image
        self._context = context
        self._abort_until = abort_until
        self._abort_share = abort_share
        self._frames = _frames(context)
        self._again: dict[tuple[int, ...], Again] = {}
        self._because: dict[str, None] = {}
        self._over = False

    def take(self, flag: Flag) -> Iterator[Message]:
        """Say what follows from a flag, if anything."""
        if self._over:
            return
        if flag.code == REACHED and flag.severity is Severity.PASS:
            yield from self._say("stop", flag, flag.message)
            self._over = True
        elif flag.severity.broken and flag.code in (*AGAIN, *ELSEWHERE):
            yield from self._wrong(flag)

    def _wrong(self, flag: Flag) -> Iterator[Message]:
        frame = _frame(flag)
        new = flag.code in AGAIN and frame is not None and frame not in self._again
        if frame is not None and new:
            steps = flag.evidence.get("lines", [])
            self._again[frame] = Again(
                slice=frame[0],
                contrast=frame[1],
                repetition=frame[2],
                steps=tuple(steps) if isinstance(steps, list) else (),
            )
        if self._lost(flag):
            self._over = True
            yield from self._say("abort", flag, flag.message)
        elif new:
            yield from self._say("reacquire", flag, flag.message)

    def _lost(self, flag: Flag) -> bool:
        """Whether going on costs more than starting again."""
        if flag.code in ELSEWHERE and len(self.done) <= self._abort_until * self._frames:
            return True
        return len(self._again) > 1 and len(self._again) >= self._abort_share * self._frames

    def _say(self, action: Literal["stop", "reacquire", "abort"], flag: Flag, reason: str) -> Iterator[Message]:
        self._because[flag.code] = None
        again = tuple(self._again[frame] for frame in sorted(self._again)) if action == "reacquire" else ()
        said = Advice(
            session=self._context.session,
            protocol=self._context.protocol.name,
            action=action,
            again=again,
            reason=reason,
            because=tuple(self._because),
        )
        yield said
        yield Feedback(NAME, encode(said))
        yield Text(f"WRN advice: {_in_words(said)}")


def _in_words(said: Advice) -> str:
    slices = ", ".join(str(number) for number in sorted({frame.slice for frame in said.again}))
    what = {"stop": "stop here", "reacquire": f"acquire again: slices {slices}", "abort": "stop and start again"}
    return f"{what[said.action]} ({said.reason})"


def _frame(flag: Flag) -> tuple[int, ...] | None:
    """Which frame a flag is about; None where it names no slice."""
    numbers = [flag.evidence.get(name, 0 if name != "slice" else None) for name in COUNTERS]
    return tuple(int(number) for number in numbers if isinstance(number, int)) if None not in numbers else None


def _frames(context: Context) -> int:
    """How many frames the header promises."""
    count, limits = 1, context.scan.encodings[0].limits
    for name in COUNTED:
        limit = limits.get(name)
        count *= 1 if limit is None else limit.maximum - limit.minimum + 1
    return count
