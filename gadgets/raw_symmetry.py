"""symmetry: whether the patient moved while a single frame was taken, from the two halves of its k-space."""

from collections.abc import Iterable, Iterator
from typing import Final

from engines.quality.symmetry import Halves, halves
from gadgets.context import Context
from gadgets.raw_verdict import place, verdict
from protocols.events import Flag, Severity
from protocols.messages import Message, Reconstruction
from protocols.stream import Node, beside

__all__ = ["symmetry"]

CODE: Final = "frame_motion"
SMOOTH: Final = 0.8  # symmetry of the central lines below which nothing can be told


def symmetry(context: Context, depth: int = 8) -> Node:
    """Compare the half of every 2-D frame that came before its calibration lines with the one that came behind them.

    The score is what their correlation lacks, in percent, while the patient is taken to lie still. Images leave at
    once; a flag for each follows. UNKNOWN, once a scan: an image whose phase is not smooth, by a long echo time or by
    motion within the calibration lines, and one whose frame has too few lines in a row in the centre.
    """
    told: set[str] = set()

    def unknown(why: str, more: str = "") -> Iterator[Flag]:
        if why not in told:
            told.add(why)
            text = f"whether the patient moved within a frame cannot be told: {why}{more}"
            yield context.flag(CODE, Severity.UNKNOWN, text)

    def compare(message: Message) -> Iterator[Flag]:
        made = _of(message)
        if made is None:
            return
        found = halves(made.pixels[0], made.source.acquired[0]) if made.source is not None else None
        if found is None:
            yield from unknown("it has no lines in a row in the centre of k-space and as many on either side")
        elif found.smooth < SMOOTH:
            yield from unknown("the phase of the image is not smooth", f": symmetry {found.smooth:.2f} of {SMOOTH}")
        else:
            yield _judged(context, made, found)

    def missed(message: Message) -> Iterable[Flag]:
        return unknown("frames come faster than they are compared") if _of(message) is not None else ()

    return beside(compare, depth, missed, context.tell, name="symmetry")


def _of(message: Message) -> Reconstruction | None:
    """A 2-D image of the scan itself; None of all else."""
    if not isinstance(message, Reconstruction) or message.series or len(message.pixels) > 1:
        return None
    return message


def _judged(context: Context, made: Reconstruction, found: Halves) -> Flag:
    encoding = context.scan.encodings[0]
    where = place(made.header)
    rows, columns = made.pixels.shape[1:]
    phase_mm = found.along_phase * encoding.encoded_fov_mm[1] / rows
    read_mm = found.along_read * encoding.recon_fov_mm[0] / columns
    text = f"the two halves of k-space of slice {where['slice']} disagree by {100 * found.mismatch:.1f} %"
    evidence: dict[str, object] = {**where}
    limit = context.protocol.limits.get(CODE)
    if limit is not None and limit.judge(100 * found.mismatch).broken:
        text += f", as by a shift of {phase_mm:+.1f} mm along phase and {read_mm:+.1f} mm along the readout"
        evidence |= {"phase_mm": round(phase_mm, 1), "read_mm": round(read_mm, 1)}
    advice = f"repeat slice {where['slice']}: the patient moved while it was taken"
    return verdict(context, CODE, 100 * found.mismatch, text, "%", evidence=evidence, advice=advice)
