"""phantom: what a weekly scan of a cylinder phantom tells of the scanner, behind the images."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from engines.quality.acr import Disc, find_disc, ghosting_percent, snr, span_mm, uniformity_percent
from gadgets.context import Context
from gadgets.image_verdict import where_of
from gadgets.raw_verdict import verdict
from protocols.events import Flag, Severity
from protocols.messages import Image, Message
from protocols.stream import Node, beside

__all__ = ["phantom"]

ROUND_DEG = (0.0, 45.0, 90.0, 135.0)
LONG_DEG = (90.0,)
GRADIENT = "level the phantom and repeat; if it comes again, let service calibrate the gradients and the shim"
COIL = "centre the phantom in the coil and repeat; if it comes again, let service check the coil"
GHOST = "wedge the phantom and repeat; if it comes again, let service look for unstable gradients or phase"


def phantom(context: Context, diameter_mm: float = 190.0, length_mm: float = 148.0, across: int = 2) -> Node:
    """Measure a cylinder as the ACR has it: size, uniformity, ghosting, and signal by noise.

    The first `across` slices lie across the cylinder, the last of them where it holds nothing but water; all others
    lie along it, with its axis along the columns. `phantom_geometry` is the largest error of a diameter or of the
    length, in mm; the other figures are of the slice of water. Images leave at once.
    """

    def judge(message: Message) -> Iterator[Message]:
        if isinstance(message, Image):
            slice_ = int(message.header["slice"])
            wanted = (diameter_mm, ROUND_DEG) if slice_ < across else (length_mm, LONG_DEG)
            yield from _judged(context, message, wanted, water=slice_ == across - 1)

    def missed(message: Message) -> Iterable[Message]:
        if isinstance(message, Image):
            text = "there was no time, or no way, to judge this"
            yield context.flag("phantom_geometry", Severity.UNKNOWN, text, evidence=dict(where_of(message)))

    return beside(judge, 32, missed, context.tell, name="phantom")


def _judged(context: Context, image: Image, wanted: tuple[float, tuple[float, ...]], *, water: bool) -> Iterator[Flag]:
    pixels = np.abs(image.pixels[0, image.pixels.shape[1] // 2]).astype(np.float32, copy=False)
    across, along, _ = image.header["field_of_view"].tolist()
    pixel_mm = (along / pixels.shape[0], across / pixels.shape[1])
    where: dict[str, object] = dict(where_of(image))
    disc = find_disc(pixels)
    if disc is None:
        text = f"there is no phantom in slice {where['slice']}"
        yield verdict(context, "phantom_geometry", None, text, "mm", evidence=where, advice="look at the image")
        return
    size_mm, angles_deg = wanted
    spans = [(span_mm(pixels, disc, pixel_mm, angle), angle) for angle in angles_deg]
    measured, angle = max(spans, key=lambda span: abs(span[0] - size_mm))
    text = f"the phantom is {measured:.2f} mm wide, not {size_mm:g}, in slice {where['slice']} at {angle:g} degrees"
    more: dict[str, object] = {**where, "measured_mm": round(measured, 2), "angle_deg": angle}
    yield verdict(context, "phantom_geometry", abs(measured - size_mm), text, "mm", evidence=more, advice=GRADIENT)
    if water:
        yield from _of_water(context, pixels, disc, pixel_mm, where)


def _of_water(
    context: Context,
    pixels: NDArray[np.float32],
    disc: Disc,
    pixel_mm: tuple[float, float],
    where: dict[str, object],
) -> Iterator[Flag]:
    piu = uniformity_percent(pixels, disc, pixel_mm)
    text = f"the phantom is uniform to {piu:.1f} %"
    yield verdict(context, "phantom_uniformity", piu, text, "%", evidence=where, advice=COIL)
    psg = ghosting_percent(pixels, disc, pixel_mm)
    text = "there is no air around the phantom to look for ghosts in" if psg is None else f"ghosts are {psg:.2f} %"
    yield verdict(context, "phantom_ghosting", psg, text, "%", evidence=where, advice=GHOST)
    ratio = snr(pixels, disc, pixel_mm)
    text = "there is no noise around the phantom" if ratio is None else f"signal is {ratio:.0f} times the noise"
    yield verdict(context, "phantom_snr", ratio, text, "1", evidence=where, advice=COIL)
