"""What is prescribed of landmarks, three ways alike: on the bus, in bytes for the console, as a flag with reasons."""

import time
from collections.abc import Iterator
from typing import Final

from engines.positioning.prescribe import prescribe as by_rules
from engines.positioning.scout import Scout
from gadgets.context import Context
from gadgets.priors import as_before
from gadgets.subjects import note_subject
from protocols.anatomy import find_anatomy
from protocols.events import Flag, Prescription, Severity
from protocols.landmarks import Landmarks
from protocols.messages import Feedback, Message
from protocols.prescription import NAME, encode
from protocols.problems import ProtocolError
from protocols.stack import plane_names

__all__ = ["nothing", "prescriptions"]

SEVERITY: Final = {"OK": Severity.PASS, "REVIEW": Severity.WARN, "REFUSED": Severity.WARN}
ADVICE: Final = {"REVIEW": "look at the planned slices before they are measured", "REFUSED": "plan the slices by hand"}


def prescriptions(
    context: Context, found: Landmarks, anatomy: str, plan: str, scout: Scout | None = None, **more: object
) -> Iterator[Message]:
    """Prescribe a plan, or all of an anatomy, '' that of the landmarks; `more` is for the flags, a model's hash say.

    With the scout, planes that were set at an earlier exam of the subject come back.
    """
    try:
        body = find_anatomy(anatomy or found.anatomy)
    except ProtocolError as error:
        yield nothing(context, str(error))
        return
    note_subject(context)
    names = (plan,) if plan else tuple(body.plans)
    ruled = [by_rules(body, name, found, time.time(), scout=context.scan.measurement_id) for name in names]
    for one in ruled if scout is None else (yield from as_before(context, scout, ruled)):
        made = one.model_copy(update={"session": context.session})
        yield made
        yield Feedback(NAME, encode(made))
        said = {**more, **({"advice": ADVICE[made.status]} if made.status in ADVICE else {})}
        yield context.flag("prescription", SEVERITY[made.status], _in_words(made), evidence={"plan": made.plan}, **said)


def nothing(context: Context, why: str, **more: object) -> Flag:
    """Say why nothing can be prescribed."""
    text = f"nothing can be prescribed: {why}"
    return context.flag("prescription", Severity.UNKNOWN, text, advice=ADVICE["REFUSED"], **more)


def _in_words(made: Prescription) -> str:
    if made.stack is None:
        return f"{made.plan} is refused: {'; '.join(made.reasons)}"
    where = ", ".join(f"{mm:.1f}" for mm in made.stack.centre_mm)
    doubts = f": {'; '.join(made.reasons)}" if made.reasons else ""
    return f"{made.plan}: {made.stack.slices} slices {plane_names(made.stack)} about ({where}) mm{doubts}"
