"""What stands on a network image, and what is flagged about it or about its absence."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from engines.linear.calibration import Calibration
from engines.unrolled.difference import Striking, smooth_difference, striking_difference
from engines.unrolled.run import NetworkImage
from engines.unrolled.scope import acceleration_of
from engines.unrolled.verdict import Cue, Verdict, Word, verdict_of
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

VERDICT: Final = "trust_verdict"
SEVERITIES: Final[Mapping[Word, Severity]] = {
    Word.TRUSTED: Severity.PASS,
    Word.DOUBTFUL: Severity.WARN,
    Word.NOT: Severity.FAIL,
    Word.UNKNOWN: Severity.UNKNOWN,
}
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
    difference, striking = _differences(linear, image)
    cues = tuple(_cues(context, drawn, image, (difference, striking)))
    verdict = verdict_of(cues)
    details = {
        **linear.details,
        **_details(drawn, image),
        "LinearDifference": f"{difference:.4g}",
        "LocalDifference": f"{striking.score:.4g}",
        "TrustVerdict": verdict.word.value,
        "TrustReasons": "; ".join(verdict.reasons) or "none",
    }
    flags = (*(_figure(context, drawn, cue) for cue in cues), _word(context, drawn, verdict, striking))
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
    """Whether the verdict on a network image is that it is doubtful or worse."""
    return any(flag.code == VERDICT and flag.severity.broken for flag in made.flags)


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
        "ModelSignedBy": opened.signed_by,
        "Backend": opened.runs_on,
        "BackendsPassed": opened.passed or "none",
        "Acceleration": "" if frame is None else f"{acceleration_of(frame.acquired[0]):.3g}",
        "Consistency": image.consistency,
        "ErrorMedian": f"{middle:.4g}",  # of the 90 % bound, in units of the noise
        "Error95": f"{most:.4g}",
        "Trust": "off" if trust is None else f"{trust.error:.4g}",
        "TrustLinear": "off" if trust is None else f"{trust.linear:.4g}",
        "WithheldLines": "0" if trust is None else str(trust.lines),
        "WithheldReturned": f"{image.returned:.2f}",
        "BorrowedLines": str(image.borrowed),
    }


def _cues(context: Context, drawn: Drawn, image: NetworkImage, differences: tuple[float, Striking]) -> Iterator[Cue]:
    """Every figure of trust with its limit and what it says; those of withheld lines only where some were."""
    limits, trust = context.protocol.limits, image.trust
    slice_ = int(drawn.job.linear.header["idx"]["slice"])
    difference, striking = differences
    off = f"the network's image of slice {slice_} is {difference:.1%} off the linear one where noise is averaged out"
    most = (
        f"the network's image of slice {slice_} differs from the linear one by {striking.score:.1f} times that one's "
        f"noise in {striking.size} pixels about row {striking.row}, column {striking.column}"
    )
    if math.isnan(difference):
        off = most = f"the network's image of slice {slice_} cannot be compared with one by '{drawn.job.linear.engine}'"
    yield Cue("linear_difference", difference, limits.get("linear_difference"), off)
    yield Cue("local_difference", striking.score, limits.get("local_difference"), most)
    share = _error_share(image)
    text = f"the network expects errors of up to {share:.1%} of slice {slice_}"
    yield Cue("error_share", share, limits.get("error_share"), text)
    if trust is None:
        return
    what = f"{trust.lines} withheld lines of slice {slice_} were predicted"
    text = f"{what} to {trust.error:.2f} times the noise, {trust.ratio:.2f} times the linear image's error"
    for code, score in (("trust", trust.error), ("trust_vs_linear", trust.ratio)):
        yield Cue(code, score, limits.get(code), text)


def _figure(context: Context, drawn: Drawn, cue: Cue) -> Flag:
    severity = Severity.UNKNOWN if cue.limit is None else cue.limit.judge(cue.score)
    return context.flag(
        cue.code,
        severity,
        cue.told,
        advice="" if cue.limit is None or severity is Severity.PASS else cue.limit.advice,
        score=round(cue.score, 4),
        unit="1",
        evidence=_where(drawn),
        model_hash=drawn.job.opened.model.hash,
    )


def _word(context: Context, drawn: Drawn, verdict: Verdict, striking: Striking) -> Flag:
    """Say the verdict, with its reasons and the place that differs most."""
    severity, where = SEVERITIES[verdict.word], _where(drawn)
    reasons = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    place = {"row": striking.row, "column": striking.column, "pixels": striking.size} if striking.size else {}
    return context.flag(
        VERDICT,
        severity,
        f"the network's image of slice {where['slice']} is {_in_words(verdict.word)}{reasons}",
        advice="read the linear image" if severity.broken else "",
        score=None if math.isnan(verdict.excess) else round(verdict.excess, 4),
        unit="1",
        evidence={**where, **place},
        model_hash=drawn.job.opened.model.hash,
    )


def _in_words(word: Word) -> str:
    return "neither trusted nor doubted" if word is Word.UNKNOWN else word.value


def _where(drawn: Drawn) -> dict[str, int]:
    idx = drawn.job.linear.header["idx"]
    return {name: int(idx[name]) for name in ("slice", "contrast", "repetition")}


def _error_share(image: NetworkImage) -> float:
    """Mass of the error map by that of the image: what nine errors of ten lie under, as a share of the signal."""
    signal = float(np.abs(image.pixels).sum())
    return float(image.error.sum()) / signal if signal else float("nan")


def _differences(linear: Reconstruction, image: NetworkImage) -> tuple[float, Striking]:
    """Compare the network's image with the linear one; nothing where that has another phase, or none."""
    learned = linear.learned
    if linear.engine not in WITH_PHASE or not isinstance(learned, Calibration):
        return float("nan"), Striking(float("nan"), 0, 0, 0)
    return (
        smooth_difference(image.pixels, linear.pixels[0]),
        striking_difference(image.pixels, linear.pixels[0], learned.inside),
    )
