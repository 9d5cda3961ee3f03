"""placed: whether slices lie where they were prescribed, from what the console says it set and from the images."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from gadgets.context import Context
from gadgets.displaced import Displaced, unknown
from gadgets.subjects import is_of_another
from protocols.errors import PeerError
from protocols.events import Flag, Prescription, Severity
from protocols.geometry import Grid, Handedness, grid_of, handedness
from protocols.messages import Feedback, Image, Message, Meta, Record
from protocols.prescription import NAME, Answer, contradiction, decode, differences
from protocols.stack import Apart, Stack, apart, centres_mm, wrong_with
from protocols.stream import Node

__all__ = ["placed", "unplaced"]

CODE: Final = "prescription"
REPEAT: Final = "prescribe anew from a new scout, or go on with the slices as they are"


def placed(context: Context, mm: float = 1.0, deg: float = 1.0, moved_mm: float = 3.6, moved_deg: float = 3.0) -> Node:
    """Compare every image with the prescription that the console names at the scan's beginning, if it names one.

    A console says what was asked of it and what it has set, as MRD 1028 `ScansidePrescription`; what it has set may
    have come over the bus instead. Flagged are: other values set, a refusal, another patient position, a scout of
    another subject, a prescription that is stale by time or by a move of the table, an image that lies `mm` or `deg`
    off what was set, slices that never came, unreadable words. UNKNOWN where an image's directions do not say where it
    lies. Images bear `Scanside.Prescription…` meta.

    The first half of the slices is laid upon the scout that the prescription names, a volume or slices of three planes:
    beyond `moved_mm` or `moved_deg` the patient has moved since, and the prescription is stale (flag `displaced`).
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        desk = _Desk(context, mm, deg, (moved_mm, moved_deg))
        for message in messages:
            if isinstance(message, Feedback) and message.name == NAME:
                yield from desk.hear(message)
            elif isinstance(message, Image):
                yield from desk.judge(message)
                yield replace(message, meta={**message.meta, **desk.meta()}) if desk.answer else message
            else:
                yield message
        yield from desk.close()

    return node


def unplaced(context: Context) -> Node:
    """Say once, in a chain without `placed`, that nothing compares images with the prescription that a scan names."""

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        told = False
        for message in messages:
            yield message
            if isinstance(message, Feedback) and message.name == NAME and not told:
                told = True
                text = (
                    f"the scan names {_named(message)}, and scan protocol {context.protocol.name} has no gadget placed"
                )
                advice = "put 'placed' behind 'finish' in chain.order of the scan protocol"
                yield context.flag(CODE, Severity.UNKNOWN, f"{text} to compare it with", advice=advice)

    return node


def _named(word: Feedback) -> str:
    try:
        return f"prescription {decode(word.data).id}"
    except PeerError:
        return "a prescription that cannot be read"


@dataclass(slots=True, eq=False)
class _Desk:
    """What the console has said, and the worst image so far."""

    context: Context
    mm: float
    deg: float
    moved: tuple[float, float]  # mm, deg
    displaced: Displaced | None = None
    asked: Prescription | None = None
    answer: Answer | None = None
    worst: Apart | None = None
    images: int = 0
    come: set[int] = field(default_factory=set)  # slices of the stack that was set
    told: bool = False
    lost: bool = False  # whether an image was told of that does not say where it lies
    judged: bool = False

    def hear(self, word: Feedback) -> Iterator[Flag]:
        """Keep a prescription or an answer; say so where it cannot be read, or where a second answer is another one."""
        try:
            said = decode(word.data)
        except PeerError as error:
            text = f"the console's words on its prescription cannot be read: {error}"
            yield self._flag(Severity.UNKNOWN, text)
            return
        if isinstance(said, Prescription):
            if said != self.asked and is_of_another(self.context, said.scout_measurement_id):
                yield self._flag(Severity.WARN, "the prescription was made on a scout of another subject")
            self.asked = said
            self._recall(said)
            return
        if self.answer is not None and (text := contradiction(self.answer, said)):
            yield self._flag(Severity.WARN, text)
        self.answer = said
        self.judged = False

    def judge(self, image: Image) -> Iterator[Flag]:
        """Say once what the console did otherwise, and the first image that lies elsewhere than was set."""
        if self.displaced is not None:
            self.displaced.see(image)
            yield from self.displaced.told()
        yield from self._heard(image)
        if self.answer is not None and self.answer.stack is not None and not wrong_with(self.answer.stack):
            yield from self._compared(image, self.answer.stack)

    def _heard(self, image: Image) -> Iterator[Flag]:
        if self.answer is None and self.asked is not None:
            self.answer = self.context.memory.answers.get((self.asked.id,))
        if not self.judged and self.answer is not None:
            self.judged = True
            for text in self._otherwise(self.answer, image.header):
                yield self._flag(Severity.WARN, text)

    def _compared(self, image: Image, stack: Stack) -> Iterator[Flag]:
        try:
            shown, off = _off(image.header, stack)
        except PeerError as error:
            yield from self._nowhere(image, str(error))
            return
        self.images += 1
        self.come.update(shown)
        if self.worst is None or off.centre_mm > self.worst.centre_mm or off.turn_deg > self.worst.turn_deg:
            self.worst = off
        if off.beyond(self.mm, self.deg) and not self.told:
            self.told = True
            number = int(image.header["slice"])
            text = f"slice {number} lies {off} off the nearest slice that the console said it had set"
            yield self._flag(Severity.WARN, text, score=round(off.centre_mm, 3), evidence={"slice": number})

    def close(self) -> Iterator[Flag]:
        """Say that everything lies where it was set, where that is so."""
        if self.displaced is not None:
            yield from self.displaced.told(at_end=True)
        elif self.asked is not None and self.asked.stack is not None and self.images:
            yield unknown(self.context, f"no image of scout '{self.asked.scout_measurement_id}' is known here")
        if self.worst is not None and not self.told:
            text = f"{self.images} images lie where the console said it had set them, {self.worst} off at worst"
            yield self._flag(*self._whole(text), score=round(self.worst.centre_mm, 3))
        elif self.asked is not None and self.answer is None:
            yield self._flag(Severity.UNKNOWN, "the console names a prescription and not what it set")

    def _whole(self, text: str) -> tuple[Severity, str]:
        """The verdict on images that lie as they should: whether all of them have come."""
        wanted = 0 if self.answer is None or self.answer.stack is None else self.answer.stack.slices
        if len(self.come) >= wanted:
            return Severity.PASS, text
        return Severity.WARN, f"{text}; {wanted - len(self.come)} of {wanted} slices never came"

    def meta(self) -> Meta:
        """What an image says of its prescription, once the console has answered."""
        if self.answer is None:
            return {}
        asked = self.asked
        known = (
            {} if asked is None else {"Status": asked.status, "Plan": asked.plan, "Scout": asked.scout_measurement_id}
        )
        said = {"": self.answer.id, "Decision": self.answer.decision, **known}
        return {f"Scanside.Prescription{name}": value for name, value in said.items() if value}

    def _nowhere(self, image: Image, why: str) -> Iterator[Flag]:
        """Say once that an image's header does not tell where it lies."""
        if not self.lost:
            self.lost = True
            number = int(image.header["slice"])
            text = f"whether slice {number} lies where the console said it had set it cannot be told: {why}"
            yield self._flag(Severity.UNKNOWN, text, evidence={"slice": number})

    def _recall(self, asked: Prescription) -> None:
        """Be ready to compare images with the scout that was prescribed from, if it is known here."""
        memory, key = self.context.memory, (asked.scout_measurement_id,)
        scout = memory.scouts.get(key) or memory.slices.get(key)
        if asked.stack is not None and scout is not None and self.displaced is None:
            self.displaced = Displaced(self.context, scout, asked, asked.stack, *self.moved)

    def _otherwise(self, answer: Answer, header: Record) -> Iterator[str]:
        asked, position = self.asked, self.context.scan.patient_position
        if asked is None:
            yield f"the console answers prescription {answer.id}, which it does not name"
            return
        yield from differences(asked, answer, self.mm, self.deg)
        if position not in ("", asked.patient_position):
            yield f"the patient lies {position} in this scan, the scout was {asked.patient_position}"
        if asked.expires_s is not None and time.time() > asked.expires_s:
            yield f"prescription {asked.id} is stale since {time.time() - asked.expires_s:.0f} s"
        moved_mm = float(np.linalg.norm(np.subtract(header["patient_table_position"], asked.table_position_mm)))
        if not moved_mm <= self.mm:
            yield f"prescription {asked.id} is stale: the table has moved by {moved_mm:.1f} mm since the scout"

    def _flag(self, severity: Severity, text: str, **more: object) -> Flag:
        advice = {"advice": REPEAT} if severity.broken else {}
        unit = {"unit": "mm"} if "score" in more else {}
        return self.context.flag(CODE, severity, text, **{**advice, **unit, **more})


def _off(header: Record, stack: Stack) -> tuple[Iterable[int], Apart]:
    """The slices of a stack that an image shows, and how far it is off the nearest: place, directions, field of view.

    A volume shows all of them.

    Raises PeerError for an image without a place, or with left-handed directions, which no rotation takes to a stack's.
    """
    hand = handedness(header["read_dir"], header["phase_dir"], header["slice_dir"])
    if hand is not Handedness.RIGHT:
        raise PeerError(f"read, phase and slice direction are {hand.value}; right-handed ones were wanted")
    grid = grid_of(header)
    places = centres_mm(stack)
    number = int(np.linalg.norm(places - np.array(grid.position_mm), axis=1).argmin())
    one = stack.model_copy(update={"centre_mm": tuple(places[number].tolist()), "slices": 1})
    shown = (number,) if header["matrix_size"][2] <= 1 else range(stack.slices)
    return shown, apart(one, _of(grid, stack))


def _of(grid: Grid, like: Stack) -> Stack:
    """An image as a stack of one slice; its gap is not known."""
    return Stack(
        centre_mm=grid.position_mm,
        read_dir=grid.read_dir,
        phase_dir=grid.phase_dir,
        slice_dir=grid.slice_dir,
        field_of_view_mm=(grid.fov_mm[0], grid.fov_mm[1]),
        thickness_mm=grid.fov_mm[2],
        gap_mm=like.gap_mm,
        slices=1,
    )
