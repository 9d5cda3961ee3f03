"""mark: write on an image what was mended in its raw data."""

from collections.abc import Iterator
from dataclasses import replace

from gadgets.context import Context
from protocols.events import Flag
from protocols.messages import Image, Message
from protocols.stream import Node

__all__ = ["mark"]

FRAME = ("slice", "contrast", "repetition")
COMMENTS = ("ImageComments", "ImageComment", "GADGETRON_ImageComment")
MOST_KEPT = 512  # frames whose image has not come yet


def mark(context: Context) -> Node:  # noqa: ARG001
    """Add to every image of a frame in which spikes were interpolated how many samples that were.

    The number stands in `Scanside.DespikedSamples`, and in words in the image comment that consoles show.
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
                count = mended.get(tuple(int(message.header[name]) for name in FRAME))
                yield message if count is None else _marked(message, count)
            else:
                yield message

    return node


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _marked(image: Image, count: int) -> Image:
    said = f"{count} samples of raw data with spikes were interpolated"
    comments = {name: f"{image.meta[name]}; {said}" for name in COMMENTS if name in image.meta}
    return replace(image, meta={**image.meta, **comments, "Scanside.DespikedSamples": str(count)})
