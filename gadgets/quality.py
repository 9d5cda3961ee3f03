"""quality: an opinion on images, in a thread of its own; the image never waits for it."""

import time
from collections.abc import Iterable, Iterator
from typing import Annotated

import numpy as np
from pydantic import Field

from gadgets.context import Context
from gadgets.image_verdict import Critic, where_of
from gadgets.raw_verdict import label
from protocols.events import Flag, Severity
from protocols.messages import Image, Message, NoiseScan
from protocols.stream import Node, beside

__all__ = ["quality"]

AHEAD_S = 2.0  # of judging that a series may be in arrears before images are passed over
Share = Annotated[float, Field(gt=0, le=1)]


def quality(context: Context, depth: int = 32, share: Share = 0.2) -> Node:
    """Measure images, and judge them and the noise of every coil against the scan protocol's limits.

    Images leave at once; figures (topic `quality`) and flags follow: one flag for the SNR, one for each other figure of
    `engines/quality/image.py` that has a [limits.<figure>]. `depth` images may wait for judgement; beyond that the flag
    is UNKNOWN, as it is where there is no limit or nothing to judge by, which is said once a scan. Where a series comes
    so fast that judging it would take more than `share` of a core, images of later repetitions are passed over.
    """
    critic = Critic(context)
    pace = _Pace(context, share)

    def judge(message: Message) -> Iterator[Message]:
        if isinstance(message, Image):
            if pace.rests(message):
                yield from pace.told()
                return
            context.lender.rush.sit_out()
            began = time.monotonic()
            yield from critic.judge(message)
            pace.worked(began)
        elif isinstance(message, NoiseScan):
            yield from _coils(message, context)

    def missed(message: Message) -> Iterable[Message]:
        if not isinstance(message, Image | NoiseScan):
            return []
        where = where_of(message) if isinstance(message, Image) else {}
        text = "there was no time, or no way, to judge this"
        return [context.flag("snr", Severity.UNKNOWN, text, evidence=where)]

    return beside(judge, depth, missed, context.tell, name="quality")


class _Pace:
    """Whether there is time to judge one more image of a series."""

    def __init__(self, context: Context, share: float) -> None:
        self._context = context
        self._share = share
        self._began = 0.0
        self._spent_s = 0.0
        self._said = False

    def rests(self, image: Image) -> bool:
        """Whether an image comes too soon; the first of a slice never does."""
        allowed_s = AHEAD_S + self._share * (time.monotonic() - self._began)
        return int(image.header["repetition"]) > 0 and self._spent_s > allowed_s

    def worked(self, began: float) -> None:
        """Note what was just done."""
        self._began = self._began or began
        self._spent_s += time.monotonic() - began

    def told(self) -> Iterator[Flag]:
        """Say once a scan that not every image is judged."""
        if not self._said:
            self._said = True
            text = f"images come faster than {self._share:.0%} of a core can judge them; not every repetition is judged"
            yield self._context.flag("images_unjudged", Severity.UNKNOWN, text)


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
