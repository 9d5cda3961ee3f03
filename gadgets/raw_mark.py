"""mark: write on an image what was mended in its raw data, and what was found wrong with them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from gadgets.context import Context
from protocols.events import Flag
from protocols.messages import Image, Message
from protocols.stream import Node

__all__ = ["mark"]

FRAME = ("slice", "contrast", "repetition")
COMMENTS = ("ImageComments", "ImageComment", "GADGETRON_ImageComment")
MOST_KEPT = 512  # frames whose image has not come yet


def mark(context: Context) -> Node:
    """Add to every image what is known to be wrong with its raw data by now, in the comment that consoles show.

    That is every WARN and FAIL of its frame, and of the whole scan (a dead coil), that is not on the image already; the
    image waits for none. In how many samples spikes were interpolated stands in `Scanside.DespikedSamples`, too.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        mended: dict[tuple[int, ...], int] = {}
        for message in messages:
            if isinstance(message, Flag) and "mended_samples" in message.evidence:
                frame = tuple(_whole(message.evidence[name]) for name in FRAME)
                mended.pop(frame, None)
                mended[frame] = _whole(message.evidence["mended_samples"])
                if len(mended) > MOST_KEPT:
                    del mended[next(iter(mended))]
            if isinstance(message, Image):
                frame = tuple(int(message.header[name]) for name in FRAME)
                yield _marked(message, _found(message, context.raised[:]), mended.get(frame, 0))
            else:
                yield message

    return node


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _found(image: Image, raised: Sequence[Flag]) -> list[Flag]:
    """What concerns an image and is not on it yet, the last word on each coil; opinions on images are none of these."""
    here = {name: int(image.header[name]) for name in FRAME}
    known = {flag.code for flag in image.flags}
    found: dict[tuple[str, object], Flag] = {}
    for flag in raised:
        opinion = "image" in flag.evidence or flag.model_hash
        elsewhere = any(flag.evidence.get(name, number) != number for name, number in here.items())
        if not (opinion or elsewhere or flag.code in known):
            found[flag.code, flag.evidence.get("coil")] = flag
    return list(found.values())


def _marked(image: Image, found: Sequence[Flag], samples: int) -> Image:
    words = [f"{flag.severity.value} {flag.code}: {flag.message}" for flag in found]
    extra: dict[str, str | list[str]] = {}
    if samples:
        words.append(f"{samples} samples of raw data with spikes were interpolated")
        extra["Scanside.DespikedSamples"] = str(samples)
    if found:
        extra["Scanside.Flags"] = [*_flags(image.meta), *(f"{flag.severity.value} {flag.code}" for flag in found)]
    if not words:
        return image
    comments = {name: "; ".join([str(image.meta[name]), *words]) for name in COMMENTS if name in image.meta}
    return replace(image, meta={**image.meta, **comments, **extra})


def _flags(meta: Mapping[str, str | list[str]]) -> list[str]:
    there = meta.get("Scanside.Flags", "none")
    return there if isinstance(there, list) else [there] if there != "none" else []
