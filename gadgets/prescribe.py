"""prescribe: at the end of a scout, say where the next slices should lie."""

from collections.abc import Iterator
from pathlib import Path

from gadgets.context import Context
from gadgets.prescriptions import nothing, prescriptions
from protocols.landmarks import load_landmarks
from protocols.messages import Failure, Message
from protocols.problems import ProtocolError
from protocols.stream import Node

__all__ = ["prescribe"]


def prescribe(context: Context, landmarks: str = "landmarks.toml", anatomy: str = "", plan: str = "") -> Node:
    """Read landmarks that another program has found in the scout by its end, and prescribe a plan, or all.

    Each prescription leaves as MRD 1028 `ScansidePrescription`, on the bus, and as a flag with its reasons. The file
    must name this scout (`measurement_id`). A file that is not there costs a flag, never an image; after a scan that
    broke off nothing is prescribed.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        broken = False
        for message in messages:
            broken = broken or isinstance(message, Failure)
            yield message
        if broken:
            return
        try:
            found = load_landmarks(Path(landmarks))
        except ProtocolError as error:
            yield nothing(context, str(error))
            return
        yield from prescriptions(context, found, anatomy, plan)

    return node
