"""What stands on a network image, and what is flagged about it or about its absence."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from engines.unrolled.run import NetworkImage
from engines.unrolled.scope import acceleration_of
from engines.unrolled.trust import Trust, smooth_difference
from gadgets.context import Context
from gadgets.draw import Drawn
from protocols.events import Flag, Severity
from protocols.messages import Reconstruction

__all__ = ["alone", "error_map_of", "fallback", "in_doubt", "network_image"]

ADVICE: Final[Mapping[str, str]] = {
    "network_unusable": "read the linear image; scanside info and the plugin's log say what is wrong with the network",
    "network_late": "read the linear image; if it happens often, set a later deadline or another backend",
    "network_failed": "read the linear image; the plugin's log says what is wrong with the engine",
    "outside_range": "read the linear image, or scan within the range of the model's card",
}

FIGURES: Final = ("trust", "trust_vs_linear", "linear_difference")
WITH_PHASE: Final = ("unfolding", "columns", "columns by iteration", "cg-sense")  # that of the maps, as the network's


def fallback(context: Context, linear: Reconstruction, code: str, text: str, model_hash: str) -> Flag:
    """Why there is no network image of this frame, or not yet."""
    where = {name: int(linear.header["idx"][name]) for name in ("slice", "contrast", "repetition")}
    return context.flag(
        code,
        Severity.WARN,
        f"slice {where['slice']}: {text}",
        advice=ADVICE[code],
        evidence=where,
        model_hash=model_hash,
    )


def alone(linear: Reconstruction, why: Flag) -> Reconstruction:
    """Let the linear image go without the network's, and say why on it."""
    return replace(linear, flags=(*linear.flags, why), details={**linear.details, "Network": why.code})


def network_image(context: Context, drawn: Drawn, *, accompanies: bool) -> Reconstruction:
    """The network's image with its story.

    Its noise level is the linear image's, which is more than its own: SNR is not judged by a background that the
    network has emptied. An image that `accompanies` the linear one repeats none of its flags.
    """
    job, image = drawn.job, drawn.image
    assert image is not None  # noqa: S101
    linear = job.linear
    difference = _difference(linear, image)
    details = {**linear.details, **_details(drawn, image), "LinearDifference": f"{difference:.4g}"}
    flags = tuple(_judged(context, drawn, image.trust, difference))
    return replace(
        linear,
        pixels=image.pixels[None],
        engine="network",
        details=details,
        flags=flags if accompanies else (*linear.flags, *flags),
        series="network" if accompanies else "",
        companion=linear.pixels,
    )


def in_doubt(made: Reconstruction) -> bool:
    """Whether a network image breaks a limit of trust."""
    return any(flag.code in FIGURES and flag.severity.broken for flag in made.flags)


def error_map_of(made: Reconstruction, image: NetworkImage) -> Reconstruction:
    """The error map as an image of its own series."""
    pixels = image.error.astype(np.complex64)[None]
    return replace(made, pixels=pixels, flags=(), series="error map", noise_std=None, companion=None)


def _details(drawn: Drawn, image: NetworkImage) -> dict[str, str]:
    opened, frame, trust = drawn.job.opened, drawn.job.linear.source, image.trust
    card = opened.model.card
    middle, most = image.error_percentiles
    return {
        "LinearEngine": drawn.job.linear.engine,
        "Model": card.name,
        "ModelVersion": card.version,
        "ModelHash": opened.model.hash[:12],
        "Backend": opened.runs_on,
        "Acceleration": "" if frame is None else f"{acceleration_of(frame.acquired[0]):.3g}",
        "Consistency": image.consistency,
        "ErrorMedian": f"{middle:.4g}",  # of the 90 % bound, in units of the noise
        "Error95": f"{most:.4g}",
        "Trust": "off" if trust is None else f"{trust.error:.4g}",
        "TrustLinear": "off" if trust is None else f"{trust.linear:.4g}",
        "WithheldLines": "0" if trust is None else str(trust.lines),
    }


def _judged(context: Context, drawn: Drawn, trust: Trust | None, difference: float) -> Iterator[Flag]:
    """The figures of trust against their limits."""
    slice_ = int(drawn.job.linear.header["idx"]["slice"])
    told = f"of slice {slice_} is {difference:.1%} off the linear one where noise is averaged out"
    if math.isnan(difference):
        told = f"of slice {slice_} cannot be compared with one by '{drawn.job.linear.engine}'"
    yield _figure(context, drawn, ("linear_difference", difference), f"the network's image {told}")
    if trust is None:
        return
    what = f"{trust.lines} withheld lines of slice {slice_} were predicted"
    text = f"{what} to {trust.error:.2f} times the noise, {trust.ratio:.2f} times the linear image's error"
    for code, score in (("trust", trust.error), ("trust_vs_linear", trust.ratio)):
        yield _figure(context, drawn, (code, score), text)


def _figure(context: Context, drawn: Drawn, figure: tuple[str, float], text: str) -> Flag:
    code, score = figure
    header = drawn.job.linear.header
    limit = context.protocol.limits.get(code)
    severity = Severity.UNKNOWN if limit is None else limit.judge(score)
    return context.flag(
        code,
        severity,
        text,
        advice="" if limit is None or severity is Severity.PASS else limit.advice,
        score=round(score, 4),
        unit="1",
        evidence={name: int(header["idx"][name]) for name in ("slice", "contrast", "repetition")},
        model_hash=drawn.job.opened.model.hash,
    )


def _difference(linear: Reconstruction, image: NetworkImage) -> float:
    """What smooth_difference says; nothing where the linear image has another phase, or none."""
    if linear.engine not in WITH_PHASE:
        return float("nan")
    return smooth_difference(image.pixels, linear.pixels[0])
