"""prescribe: at the end of a scout, say where the next slices should lie."""

import time
from collections.abc import Iterator
from pathlib import Path

from engines.positioning.prescribe import prescribe as by_rules
from gadgets.context import Context
from protocols.anatomy import find_anatomy
from protocols.events import Prescription, Severity
from protocols.landmarks import load_landmarks
from protocols.messages import Failure, Feedback, Message
from protocols.prescription import NAME, encode
from protocols.problems import ProtocolError
from protocols.stack import plane_names
from protocols.stream import Node

__all__ = ["prescribe"]

SEVERITY = {"OK": Severity.PASS, "REVIEW": Severity.WARN, "REFUSED": Severity.WARN}
ADVICE = {"REVIEW": "look at the planned slices before they are measured", "REFUSED": "plan the slices by hand"}


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
        if not broken:
            yield from _prescriptions(context, Path(landmarks), anatomy, plan)

    return node


def _prescriptions(context: Context, file: Path, anatomy: str, plan: str) -> Iterator[Message]:
    try:
        found = load_landmarks(file)
        body = find_anatomy(anatomy or found.anatomy)
    except ProtocolError as error:
        text = f"nothing can be prescribed: {error}"
        yield context.flag("prescription", Severity.UNKNOWN, text, advice=ADVICE["REFUSED"])
        return
    for name in (plan,) if plan else body.plans:
        made = by_rules(body, name, found, time.time(), scout=context.scan.measurement_id)
        made = made.model_copy(update={"session": context.session})
        yield made
        yield Feedback(NAME, encode(made))
        advice = {"advice": ADVICE[made.status]} if made.status in ADVICE else {}
        yield context.flag("prescription", SEVERITY[made.status], _in_words(made), evidence={"plan": name}, **advice)


def _in_words(made: Prescription) -> str:
    if made.stack is None:
        return f"{made.plan} is refused: {'; '.join(made.reasons)}"
    where = ", ".join(f"{mm:.1f}" for mm in made.stack.centre_mm)
    doubts = f": {'; '.join(made.reasons)}" if made.reasons else ""
    return f"{made.plan}: {made.stack.slices} slices {plane_names(made.stack)} about ({where}) mm{doubts}"
