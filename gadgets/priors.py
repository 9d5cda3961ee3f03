"""Prior exams: planes that the console set for a subject lie on the same anatomy when the same subject comes again."""

import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Final

import numpy as np

from engines.positioning.brain import brain_in, template_for
from engines.positioning.follow_up import Exam, Plane, Prior, again, between, carried
from engines.positioning.grid import Sheet
from engines.positioning.resemblance import resemblance
from engines.positioning.rigid import Moved, Points
from engines.positioning.scout import Scout
from gadgets.context import Context
from gadgets.prior_store import PriorError, keep, pseudonym, recall
from protocols.errors import PeerError
from protocols.events import Flag, Prescription, Severity
from protocols.messages import Failure, Feedback, Message
from protocols.prescription import NAME, Answer, decode
from protocols.stack import Stack, apart, wrong_with
from protocols.stream import Node
from protocols.subject import subject_id

__all__ = ["as_before", "noted"]

CODE: Final = "prior_exam"
AGREE_MM: Final = 5.0  # by which landmarks and registration may differ
AGREE_DEG: Final = 5.0
SAME_MM: Final = 0.3  # what a console rounds
SAME_DEG: Final = 0.3
TABLE_MM: Final = 1.0
ADVICE: Final = "see to the folder that was given with scanside serve --priors; images are not concerned"


def as_before(context: Context, scout: Scout, made: list[Prescription]) -> Generator[Flag, None, list[Prescription]]:
    """Where the subject was here before, prescribe the planes that were set then; and be ready to keep those of now.

    The earlier scout is laid upon this one, from where landmarks say the head has gone. REVIEW, and the planes of
    landmarks, where it looks otherwise, where the brain is another one (a wrong id), or where both differ by more than
    5 mm or 5 degrees. A plan that landmarks refuse stays refused. Yields a flag where nothing can be kept or read.
    """
    if context.priors is None or not made:
        return made
    name, prior, why = _recalled(context, scout, made[0].anatomy)
    if why:
        yield context.flag(CODE, Severity.UNKNOWN, why, advice=ADVICE)
    if not name:
        return made
    asked = {one.plan: one.stack for one in made if one.stack is not None}
    planes: Mapping[str, Plane] = {}
    if prior is not None and prior.planes.keys() & asked.keys():
        planes, doubt = _carried(prior, scout, made[0].anatomy, asked)
        made = [_told(one, prior.planes[one.plan], planes, doubt) if one.plan in prior.planes else one for one in made]
    context.memory.exams.put((scout.measurement_id, name), Exam(scout, asked, planes))
    return made


def noted(context: Context) -> Node:
    """Hear what the console says it has set, and keep it at the scan's end with the scout of the same subject.

    Planes that were set as they had been at an earlier exam stay with that exam's scout: errors do not add up. A scan
    that broke off, a table that was moved, and words that cannot be read (`placed` tells of them) leave nothing.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        asked: Prescription | None = None
        answer: Answer | None = None
        for message in messages:
            if isinstance(message, Feedback) and message.name == NAME:
                said = _said(message)
                asked, answer = (said, None) if isinstance(said, Prescription) else (asked, said or answer)
            if isinstance(message, Failure):
                asked = None
            yield message
        if asked is not None and answer is not None and answer.id == asked.id:
            _note(context, asked, answer)

    return node if context.priors is not None else iter


def _recalled(context: Context, scout: Scout, anatomy: str) -> tuple[str, Prior | None, str]:
    """The subject's pseudonym, "" where nothing can be kept; the earlier exam, if any; and what is wrong."""
    assert context.priors is not None  # noqa: S101
    subject = subject_id(context.xml)
    if not subject or not scout.measurement_id:
        return "", None, "the header has no patientID or no measurementID; nothing is kept of this exam"
    if np.isnan(scout.pixels).any():
        return "", None, "single slices are not laid upon an earlier scout; nothing is kept of this exam"
    name = ""
    try:
        name = pseudonym(context.priors, subject, anatomy)
        return name, recall(context.priors, name), ""
    except PriorError as error:
        return name, None, f"what was set before is not known: {error}; slices lie where landmarks say"


def _carried(prior: Prior, scout: Scout, anatomy: str, asked: Mapping[str, Stack]) -> tuple[Mapping[str, Plane], str]:
    """All planes of an earlier exam as they lie on this scout; none, and the reason, where that is in doubt."""
    both = [plan for plan in asked if plan in prior.planes]
    moved = _moved(prior, scout, between(prior.planes[both[0]].asked, asked[both[0]]))
    if moved is None:
        return {}, "prior_unlike: this scout does not show the head of {date}; slices lie where landmarks say"
    if why := _another(prior, scout, moved, anatomy, both[0], asked[both[0]]):
        return {}, f"{why}; slices lie where landmarks say"
    planes = {
        plan: plane.model_copy(
            update={"stack": carried(plane.stack, moved), "asked": asked.get(plan, carried(plane.asked, moved))}
        )
        for plan, plane in prior.planes.items()
    }
    for plan in both:
        off = apart(carried(prior.planes[plan].asked, moved), asked[plan])
        if not (off.centre_mm <= AGREE_MM and off.turn_deg <= AGREE_DEG):
            how = f"{off.centre_mm:.1f} mm and {off.turn_deg:.1f} deg apart"
            return {}, f"prior_disagrees: {plan} by landmarks and by the scout of {{date}} lie {how}; landmarks count"
    return planes, ""


def _another(prior: Prior, scout: Scout, moved: Moved, anatomy: str, plan: str, stack: Stack) -> str:
    """Why this may be another subject than that of the earlier exam; "" where it is the same."""
    sheet = Sheet(scout)
    brain = brain_in(sheet, template_for(anatomy), plan, stack)
    if brain is None:
        return "prior_untold: no brain is found by which to tell that this is the subject of {date}"
    alike = resemblance(Points(prior.seen.places_mm, prior.level), sheet, brain, moved)
    if alike.same:
        return ""
    how = f"correlation {alike.correlation:.2f}, stretched by {100 * alike.stretch:.1f} %"
    return f"prior_other: this is not the brain of {{date}} ({how}), see to the subject's id"


def _moved(prior: Prior, scout: Scout, start: Moved) -> Moved | None:
    try:
        return again(prior, scout, start)
    except np.linalg.LinAlgError:
        return None


def _told(one: Prescription, before: Plane, planes: Mapping[str, Plane], doubt: str) -> Prescription:
    """A prescription with the planes of before, or with the reason why it has not."""
    if one.stack is None:
        return one
    day = datetime.fromtimestamp(before.time_s, timezone.utc).astimezone().date().isoformat()
    wrong = [] if doubt else wrong_with(planes[one.plan].stack)
    if doubt or wrong:
        why = doubt.format(date=day) or f"prior_out_of_reach: {wrong[0]}; slices lie where landmarks say"
        return one.model_copy(update={"status": "REVIEW", "reasons": (why, *one.reasons)})
    reasons = (f"as_before: as on {day}", *one.reasons)
    told = {"stack": planes[one.plan].stack, "reasons": reasons, "region90_mm": None, "region90_deg": None}
    return one.model_copy(update=told)


def _said(message: Feedback) -> Prescription | Answer | None:
    try:
        return decode(message.data)
    except PeerError:
        return None


def _note(context: Context, asked: Prescription, answer: Answer) -> None:
    """Keep a plane in a worker, where it is another one than before."""
    assert context.priors is not None  # noqa: S101
    subject = subject_id(context.xml)
    if not subject:
        return
    try:
        name = pseudonym(context.priors, subject, asked.anatomy)
    except PriorError:  # the scout's flag has told
        return
    key = asked.scout_measurement_id, name
    exam, stack = context.memory.exams.get(key), answer.stack
    if exam is None or stack is None or asked.plan not in exam.asked or not _lies(exam.scout, answer):
        return
    before = exam.planes.get(asked.plan)
    if wrong_with(stack) or (before is not None and not apart(before.stack, stack).beyond(SAME_MM, SAME_DEG)):
        return
    plane = Plane(stack=stack, asked=exam.asked[asked.plan], time_s=answer.time_s)
    exam = replace(exam, planes={**exam.planes, asked.plan: plane})
    context.memory.exams.put(key, exam)
    context.workers.submit(_kept, context, name, exam)


def _lies(scout: Scout, answer: Answer) -> bool:
    """Whether the patient lies as in the scout, on a table that has not moved."""
    moved_mm = math.dist(answer.table_position_mm, scout.table_position_mm)
    return answer.patient_position == scout.patient_position and moved_mm <= TABLE_MM


def _kept(context: Context, name: str, exam: Exam) -> None:
    assert context.priors is not None  # noqa: S101
    try:
        keep(context.priors, name, exam)
    except PriorError as error:
        context.tell(context.flag(CODE, Severity.UNKNOWN, f"what was set is not kept: {error}", advice=ADVICE))
