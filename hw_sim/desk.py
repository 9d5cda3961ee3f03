"""The console's desk: takes a prescription for the next scan, decides, and answers with what it really sets."""

import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from pydantic import ValidationError

from protocols.bus import Answers
from protocols.events import Health, Prescription
from protocols.messages import Feedback
from protocols.prescription import NAME, Answer, encode
from protocols.simulate import Directions, Simulate
from protocols.stack import Reach, Stack, wrong_with

__all__ = ["GAMMA_HZ_PER_T", "Decision", "Desk", "Taken", "applied", "asked_in", "health", "reach_of", "wait_for"]

Decision: TypeAlias = Literal["accept", "override", "refuse"]
GAMMA_HZ_PER_T: Final = 42.577e6
GRADIENT_T_PER_M: Final = 0.045
BORE_MM: Final = 250.0
GRID_MM: Final = 0.1  # to which the console rounds what is set
OVERRIDE_MM: Final = 5.0  # by which an operator who knows better shifts the slices, along their normal


@dataclass(frozen=True, slots=True)
class Taken:
    """A prescription and what the console answered."""

    asked: Prescription
    answer: Answer

    @property
    def standing(self) -> str:
        """How sure the plugin is of it: its status, and the first reason for that."""
        return ": ".join((self.asked.status, *self.asked.reasons[:1]))

    def feedback(self) -> tuple[Feedback, Feedback]:
        """Both as MRD 1028, for the plugin that gets the next scan."""
        return Feedback(NAME, encode(self.asked)), Feedback(NAME, encode(self.answer))


def reach_of(simulate: Simulate) -> Reach:
    """What the gradients can do with this sequence: bandwidth = gamma x gradient x field of view of the readout."""
    bandwidth_hz = simulate.bandwidth_hz_per_pixel * simulate.matrix[0]
    least_mm = 1e3 * bandwidth_hz / (GAMMA_HZ_PER_T * GRADIENT_T_PER_M)
    return Reach(field_of_view_mm=(least_mm, 500.0), off_centre_mm=BORE_MM)


@dataclass(frozen=True, slots=True)
class Desk:
    """Decides on prescriptions for one scan; the patient lies as he lies, whatever a prescription believes."""

    simulate: Simulate
    patient_position: str
    decision: Decision = "accept"
    table_position_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    taken: "queue.Queue[Taken]" = field(default_factory=queue.Queue)

    def decide(self, asked: Prescription, now_s: float) -> Answer:
        """Accept what can be measured, override it, or refuse it and say why."""
        why = [*self._against(asked, now_s)]
        wanted = asked.stack
        if self.decision == "refuse":
            why.append("the operator refused it")
        if why or wanted is None:
            return self._answer(asked, "refused", None, tuple(why))
        if self.decision == "override":
            shifted = np.array(wanted.centre_mm) + OVERRIDE_MM * np.array(wanted.slice_dir)
            moved = wanted.model_copy(update={"centre_mm": tuple(shifted.tolist())})
            return self._answer(asked, "overridden", _rounded(moved), ("the operator knows better",))
        return self._answer(asked, "accepted", _rounded(wanted), ())

    def question(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer {"ask": "prescription", "prescription": {…}}; one that is repeated gets the same answer."""
        asked = asked_in(question)
        taken = Taken(asked, self.decide(asked, time.time()))
        self.taken.put(taken)
        return taken.answer.model_dump(mode="json")

    def _answer(
        self, asked: Prescription, decision: Literal["accepted", "overridden", "refused"], stack: Stack | None,
        why: tuple[str, ...],
    ) -> Answer:  # fmt: skip
        return Answer(
            id=asked.id,
            decision=decision,
            reasons=why,
            stack=stack,
            patient_position=self.patient_position,
            table_position_mm=self.table_position_mm,
        )

    def _against(self, asked: Prescription, now_s: float) -> list[str]:
        """Everything for which a prescription cannot be applied."""
        if asked.stack is None:
            return [f"nothing was prescribed: {'; '.join(asked.reasons)}"]
        why = list(wrong_with(asked.stack, reach_of(self.simulate)))
        if self.simulate.partitions > 1:
            why.append("the scan is a 3-D one, which has no slices to place")
        if asked.expires_s is not None and now_s > asked.expires_s:
            why.append(f"it is stale since {now_s - asked.expires_s:.0f} s")
        if asked.patient_position != self.patient_position:
            why.append(f"the patient lies {self.patient_position}, not {asked.patient_position}")
        return why


def asked_in(question: Mapping[str, Any]) -> Prescription:
    """The prescription that a question is about; raises ValueError, which is told to whoever asks."""
    try:
        return Prescription.model_validate(question.get("prescription"))
    except ValidationError as error:
        raise ValueError(f"no prescription: {error.errors()[0]['msg']}") from None


def wait_for(desk: Desk, address: str, patience_s: float, tell: Callable[[str], None]) -> Taken | None:
    """Wait at an address for a prescription, saying where; None where none came in time."""
    with Answers(address, health, {"prescription": desk.question}) as answers:
        tell(f"waiting for a prescription: scanside plan --landmarks FILE --plan NAME --console {answers.address}")
        try:
            return desk.taken.get(timeout=patience_s)
        except queue.Empty:
            return None


def health() -> Health:
    """How the console is."""
    return Health(status="ready", release=f"hw_sim {version('scanside')}")


def _rounded(stack: Stack) -> Stack:
    """What is set when the console rounds lengths."""
    x, y, z = (round(mm / GRID_MM) * GRID_MM for mm in stack.centre_mm)
    read, phase = (round(mm / GRID_MM) * GRID_MM for mm in stack.field_of_view_mm)
    return stack.model_copy(update={"centre_mm": (x, y, z), "field_of_view_mm": (read, phase)})


def applied(simulate: Simulate, stack: Stack) -> Simulate:
    """The same sequence, measured where a stack lies."""
    given = {
        "orientation": Directions(read=stack.read_dir, phase=stack.phase_dir, slice=stack.slice_dir),
        "centre_mm": stack.centre_mm,
        "fov_mm": stack.field_of_view_mm,
        "slices": stack.slices,
        "thickness_mm": stack.thickness_mm,
        "gap_mm": stack.gap_mm,
        "three_plane": False,
    }
    return simulate.model_copy(update=given)
