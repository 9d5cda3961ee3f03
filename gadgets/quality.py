"""quality: an opinion on every image, in a thread of its own; the image never waits for it."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from gadgets.context import Context
from gadgets.raw_verdict import label
from protocols.events import Flag, Severity
from protocols.messages import Image, Message, NoiseScan
from protocols.stream import Node, beside

__all__ = ["quality"]


def quality(context: Context, depth: int = 32) -> Node:
    """Judge SNR of every image and the noise of every coil against the scan protocol's limits.

    Images leave at once; flags follow. `depth` images may wait for judgement; beyond that the flag is UNKNOWN, as it is
    where there is no limit or nothing to judge by.
    """

    def judge(message: Message) -> Iterator[Message]:
        if isinstance(message, Image):
            yield _snr(message, context)
        elif isinstance(message, NoiseScan):
            yield from _coils(message, context)

    def missed(message: Message) -> Iterable[Message]:
        if not isinstance(message, Image | NoiseScan):
            return []
        where = _where(message) if isinstance(message, Image) else {}
        text = "there was no time, or no way, to judge this"
        return [context.flag("snr", Severity.UNKNOWN, text, evidence=where)]

    return beside(judge, depth, missed, context.tell, name="quality")


def _where(image: Image) -> dict[str, int]:
    names = {"slice": "slice", "contrast": "contrast", "repetition": "repetition", "image": "image_index"}
    return {name: int(image.header[field]) for name, field in names.items()}


def _snr(image: Image, context: Context) -> Flag:
    """Median over the object of signal by noise: the expected noise where it is known, else that of the background."""
    where = _where(image)
    pixels = np.abs(image.pixels[0, image.pixels.shape[1] // 2]).astype(np.float32)
    inside = pixels > _threshold(pixels)
    noise, basis = image.noise_std, "expected noise"
    if noise is None:
        level = _background_noise(pixels[~inside])
        noise, basis = None if level is None else np.full(pixels.shape, level, np.float32), "background"
    if noise is None or not inside.any():
        return context.flag("snr", Severity.UNKNOWN, "no background to take the noise from", evidence=where)
    snr = float(np.median(pixels[inside] / np.maximum(noise[inside], 1e-12)))
    limit = context.protocol.limits.get("snr")
    severity = Severity.UNKNOWN if limit is None else limit.judge(snr)
    advice = "" if limit is None or severity is Severity.PASS else limit.advice
    text = f"SNR {snr:.1f} ({basis}) in slice {where['slice']}" + ("; no limit" if limit is None else "")
    return context.flag("snr", severity, text, advice=advice, score=round(snr, 2), unit="1", evidence=where)


def _coils(noise: NoiseScan, context: Context) -> Iterator[Flag]:
    """Coils whose noise differs from the median coil's by more than the limit's factor, either way."""
    limit = context.protocol.limits.get("noise_covariance_outlier")
    power = np.real(np.diag(noise.covariance))
    median = float(np.median(power))
    if limit is None or median <= 0:
        text = "no limit for coil noise" if limit is None else "the median coil has no noise at all"
        yield context.flag("noise_covariance_outlier", Severity.UNKNOWN, text)
        return
    ratio = np.sqrt(np.maximum(power, 1e-30) / median)
    worst = np.maximum(ratio, 1 / ratio)
    for coil in np.flatnonzero(worst > limit.value).tolist():
        name = label(context, coil)
        yield context.flag(
            "noise_covariance_outlier",
            limit.judge(float(worst[coil])),
            f"{name} has {ratio[coil]:.3g} times the noise of the median coil",
            advice=limit.advice or f"check the plug and cable of {name}",
            score=round(float(ratio[coil]), 4),
            unit="1",
            evidence={"coil": coil, "label": name},
        )
    if not (worst > limit.value).any():
        text = f"noise of {len(power)} coils is alike"
        yield context.flag(
            "noise_covariance_outlier", Severity.PASS, text, score=round(float(worst.max()), 3), unit="1"
        )


def _threshold(pixels: NDArray[np.float32]) -> float:
    """Otsu's threshold between background and object (Otsu, IEEE Trans Syst Man Cybern 1979)."""
    counts, edges = np.histogram(pixels, bins=128)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(centres[int(np.nanargmax(np.where(np.isfinite(between), between, -1)))])


def _background_noise(background: NDArray[np.float32]) -> float | None:
    """Standard deviation of one real part from the magnitude of signal-free pixels, which is Rayleigh distributed."""
    dark = background[background > 0]
    if len(dark) < 64:
        return None
    low = dark[dark <= np.quantile(dark, 0.5)]
    return float(np.sqrt(np.mean(low**2) / 2) / 0.553862) or None
