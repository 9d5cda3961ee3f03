"""wrap: from the headers of a scan and the last scout, whether the head will fold over in the image."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from typing import Final

import numpy as np

from engines.positioning.scout import Scout
from engines.quality.overhang import Skin, Slab, overhang, skin
from gadgets.context import Context
from gadgets.raw_verdict import behind, verdict
from gadgets.subjects import is_of_another
from protocols.errors import PeerError
from protocols.events import Flag, Severity
from protocols.geometry import Handedness, handedness
from protocols.messages import Readouts, Record
from protocols.mrd import AcqFlag, has_flag
from protocols.stream import Node

__all__ = ["wrap"]

CODE: Final = "wrap"
OLD_S: Final = 3600.0
TABLE_MM: Final = 1.0
PATIENCE_S: Final = 2.0
ADVICE: Final = "enlarge the field of view along phase encoding, or oversample, before you go on"


def wrap(context: Context) -> Node:
    """Compare the field of view along phase encoding with the head in the last scout, before there is an image.

    The score is how far (mm) the head reaches beyond it; each slice beyond the limit is told when its first readout
    has come, the worst at the end. A scan does not name its scout: it is the last one of the same patient and table
    position, of the last hour. UNKNOWN where there is none, or where the scout ends before the head does.
    """
    return behind(lambda: _Watch(context))


class _Watch:
    """The slices of one scan, upon the surface of the head in the scout."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scout = context.memory.scouts.get((context.scan.patient_position,))
        self._skin: Future[Skin] | None = None
        self._why = "no scout of this patient position was seen"
        self._waiting: list[Record] = []  # first readouts of slices
        self._seen: set[int] = set()
        self._worst: tuple[float, int] | None = None
        self._cut: int | None = None  # a slice in which the scout ends before the head
        if self._scout is not None and time.time() - self._scout.time_s > OLD_S:
            self._scout, self._why = None, "the last scout is older than an hour"
        if self._scout is not None and is_of_another(context, self._scout.measurement_id):
            self._scout, self._why = None, "the last scout is of another subject"

    def take(self, message: Readouts) -> Iterator[Flag]:
        """Note which slices are new; judge them when the surface of the head is known."""
        if self._scout is None:
            return
        self._note(message, self._scout)
        if self._waiting and self._skin is not None and self._skin.done():
            yield from self._judge(self._skin.result())

    def close(self) -> Iterator[Flag]:
        """Say the worst slice, or why there is none."""
        if self._waiting and self._skin is not None:
            try:
                yield from self._judge(self._skin.result(PATIENCE_S))
            except NotInTime:
                self._why = f"the scout was not looked at within {PATIENCE_S:g} s"
        if self._worst is not None and (self._cut is None or self._broken(self._worst[0])):
            yield self._flag(*self._worst)
            return
        why = self._why if self._cut is None else f"the scout ends before the head does in slice {self._cut}"
        yield self._context.flag(CODE, Severity.UNKNOWN, f"whether the head wraps around cannot be foretold: {why}")

    def _note(self, message: Readouts, scout: Scout) -> None:
        headers = message.headers
        slices = headers["idx"]["slice"]
        heard = ~has_flag(headers["flags"], AcqFlag.IS_NOISE_MEASUREMENT)
        for number in np.unique(slices[heard]).tolist():
            if number in self._seen:
                continue
            self._seen.add(number)
            header = headers[int(np.argmax(heard & (slices == number)))]
            if np.linalg.norm(np.subtract(header["patient_table_position"], scout.table_position_mm)) > TABLE_MM:
                self._scout, self._why = None, "the table has moved since the scout"
                return
            if why := _nowhere(header):
                self._scout, self._why = None, f"slice {number} has no place: {why}"
                return
            self._waiting.append(header.copy())
        if self._waiting and self._skin is None:
            self._why = "no slice shows what the scout shows"
            self._skin = self._context.workers.submit(skin, scout.pixels, scout.affine)

    def _judge(self, body: Skin) -> Iterator[Flag]:
        for header in self._waiting:
            found, number = overhang(body, self._slab(header)), int(header["idx"]["slice"])
            if found is None:
                continue
            score, cut = found
            broken = self._broken(score)
            if cut and not broken:
                self._cut = number
            if broken:
                yield self._flag(score, number)
            if self._worst is None or score > self._worst[0]:
                self._worst = score, number
        self._waiting = []

    def _slab(self, header: Record) -> Slab:
        encoding = self._context.scan.encodings[0]
        return Slab(
            np.array(header["position"], np.float64),
            np.array(header["phase_dir"], np.float64),
            np.array(header["slice_dir"], np.float64),
            encoding.recon_fov_mm[2],
            encoding.encoded_fov_mm[1],
            encoding.recon_fov_mm[1],
        )

    def _broken(self, score: float) -> bool:
        limit = self._context.protocol.limits.get(CODE)
        return limit is not None and limit.judge(score).broken

    def _flag(self, score: float, number: int) -> Flag:
        text = f"in the scout the head reaches {score:.0f} mm beyond the field of view of slice {number}"
        if score <= 0:
            text = f"in the scout the head leaves {-score:.0f} mm of the field of view free, in slice {number}"
        evidence: dict[str, object] = {"slice": number}
        return verdict(self._context, CODE, score, text, "mm", evidence=evidence, advice=ADVICE)


def _nowhere(header: Record) -> str:
    """Why readouts do not say how a slice lies; "" where they do."""
    try:
        hand = handedness(header["read_dir"], header["phase_dir"], header["slice_dir"])
    except PeerError as error:
        return str(error)
    return "all its directions are zero" if hand is Handedness.MISSING else ""
