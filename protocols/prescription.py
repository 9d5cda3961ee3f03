"""`ScansidePrescription`, MRD 1028: where slices should lie, and the console's answer with what it really set.

Little-endian, fixed widths, no padding; lengths in mm, directions in LPS. Version 1, byte for byte:

| byte | type | what |
|---|---|---|
| 0 | u16 | version, 1; a reader refuses any other |
| 2 | u8 | role: 0 prescription; answers: 1 accepted, 2 overridden, 3 refused |
| 3 | u8 | status of a prescription: 0 OK, 1 REVIEW, 2 REFUSED; 0 in an answer |
| 4 | u32 | number of slices; 0: no stack, bytes 32 to 159 are zero |
| 8 | u64 | id; an answer bears that of its prescription |
| 16 | f64 | Unix time when it was made, s |
| 24 | f64 | Unix time from which it is stale, s; NaN: never |
| 32 | f64 × 3 | middle of the stack |
| 56, 80, 104 | f64 × 3 each | read, phase and slice direction |
| 128 | f64 × 2 | field of view along read, phase |
| 144, 152 | f64 each | thickness, gap |
| 160 | f64 × 3 | table position, device axes |
| 184, 192 | f64 each | half-widths of the 90 % region: middle along slice_dir, mm, turn, degrees; NaN: not known |
| 200 | 8 bytes | patient position (HFS, FFDR …), ASCII, filled with NUL |
| 208 | 4 texts | u32 length and UTF-8 each: scout measurement id, anatomy, plan, reasons (one a line) |
"""

import math
import struct
import time
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocols.errors import PeerError
from protocols.events import Prescription
from protocols.stack import Stack, apart, wrong_with

__all__ = ["HEAD", "NAME", "Answer", "contradiction", "decode", "differences", "encode"]

NAME: Final = "ScansidePrescription"
VERSION: Final = 1
HEAD: Final = np.dtype(
    [
        ("version", "<u2"),
        ("role", "u1"),
        ("status", "u1"),
        ("slices", "<u4"),
        ("id", "<u8"),
        ("time_s", "<f8"),
        ("expires_s", "<f8"),
        ("centre_mm", "<f8", 3),
        ("read_dir", "<f8", 3),
        ("phase_dir", "<f8", 3),
        ("slice_dir", "<f8", 3),
        ("field_of_view_mm", "<f8", 2),
        ("thickness_mm", "<f8"),
        ("gap_mm", "<f8"),
        ("table_position_mm", "<f8", 3),
        ("region90_mm", "<f8"),
        ("region90_deg", "<f8"),
        ("patient_position", "S8"),
    ]
)
_STATUS: Final = ("OK", "REVIEW", "REFUSED")
_DECISION: Final = ("", "accepted", "overridden", "refused")
_VECTORS: Final = ("centre_mm", "read_dir", "phase_dir", "slice_dir", "field_of_view_mm")
_LENGTH: Final = struct.Struct("<I")


class Answer(BaseModel):
    """What a console did with a prescription, and the values that it will really measure with."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    version: Literal[1] = 1
    time_s: float = Field(default_factory=time.time)
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", description="of the prescription it answers")]
    decision: Literal["accepted", "overridden", "refused"]
    reasons: tuple[str, ...] = ()
    stack: Annotated[Stack | None, Field(description="as set; None where it was refused")] = None
    patient_position: str
    table_position_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @model_validator(mode="after")
    def _sets_what_it_does_not_refuse(self) -> "Answer":
        if (self.stack is None) != (self.decision == "refused"):
            raise ValueError(f"{self.decision} with stack {self.stack}: a stack belongs to accepted and overridden")
        return self


def encode(message: Prescription | Answer) -> bytes:
    """Bytes of a prescription or an answer; the connection that it belongs to is not among them."""
    head = np.zeros(1, HEAD)
    head["version"] = VERSION
    head["id"] = int(message.id, 16)
    head["time_s"] = message.time_s
    head["table_position_mm"] = message.table_position_mm
    head["patient_position"] = message.patient_position.encode("ascii", "replace")
    for name in ("expires_s", "region90_mm", "region90_deg"):
        value = getattr(message, name, None)
        head[name] = math.nan if value is None else value
    if isinstance(message, Prescription):
        head["status"] = _STATUS.index(message.status)
        texts = (message.scout_measurement_id, message.anatomy, message.plan)
    else:
        head["role"] = _DECISION.index(message.decision)
        texts = ("", "", "")
    if message.stack is not None:
        head["slices"] = message.stack.slices
        for name in (*_VECTORS, "thickness_mm", "gap_mm"):
            head[name] = getattr(message.stack, name)
    reasons = "\n".join(" ".join(reason.splitlines()) for reason in message.reasons)
    octets = (text.encode("utf-8", "replace") for text in (*texts, reasons))
    return head.tobytes() + b"".join(_LENGTH.pack(len(text)) + text for text in octets)


def decode(data: bytes) -> Prescription | Answer:
    """Read what `encode` wrote; raises PeerError for anything else, saying what came and what was wanted."""
    if len(data) < HEAD.itemsize:
        raise PeerError(f"{NAME}: {len(data)} bytes, wanted at least {HEAD.itemsize}")
    head = np.frombuffer(data, HEAD, 1)[0]
    if head["version"] != VERSION:
        raise PeerError(f"{NAME}: version {head['version']}, wanted {VERSION}")
    if head["role"] >= len(_DECISION) or head["status"] >= len(_STATUS):
        raise PeerError(f"{NAME}: role {head['role']}, status {head['status']}; wanted 0 to 3, 0 to 2")
    scout, anatomy, plan, lines = _texts(data[HEAD.itemsize :])
    said: dict[str, Any] = {
        "id": f"{int(head['id']):016x}",
        "time_s": float(head["time_s"]),
        "reasons": tuple(lines.split("\n")) if lines else (),
        "stack": _stack(head) if head["slices"] else None,
        "patient_position": head["patient_position"].decode("ascii", "replace"),
        "table_position_mm": head["table_position_mm"].tolist(),
    }
    try:
        if head["role"]:
            return Answer(decision=_DECISION[head["role"]], **said)
        numbers = {name: float(head[name]) for name in ("expires_s", "region90_mm", "region90_deg")}
        known = {name: None if math.isnan(value) else value for name, value in numbers.items()}
        status = _STATUS[head["status"]]
        return Prescription(
            status=status, anatomy=anatomy, plan=plan, scout_measurement_id=scout, **known, **said
        )  # fmt: skip
    except ValidationError as error:
        raise PeerError(f"{NAME}: {error.errors()[0]['msg']}") from None


def _stack(head: np.void) -> Stack:
    vectors = {name: tuple(head[name].tolist()) for name in _VECTORS}
    return Stack(
        **vectors,
        thickness_mm=float(head["thickness_mm"]),
        gap_mm=float(head["gap_mm"]),
        slices=int(head["slices"]),
    )


def _texts(data: bytes) -> tuple[str, str, str, str]:
    """Four texts that fill the rest of a message."""
    found: list[str] = []
    at = 0
    for number in range(4):
        begin = at + _LENGTH.size
        end = begin + (_LENGTH.unpack_from(data, at)[0] if begin <= len(data) else 0)
        if begin > len(data) or end > len(data):
            raise PeerError(f"{NAME}: it ends within text {number + 1} of 4, {len(data)} bytes behind its head")
        try:
            found.append(data[begin:end].decode())
        except UnicodeDecodeError:
            raise PeerError(f"{NAME}: text {number + 1} of 4 is not UTF-8") from None
        at = end
    if at != len(data):
        raise PeerError(f"{NAME}: {len(data) - at} bytes behind its end")
    first, second, third, fourth = found
    return first, second, third, fourth


def differences(asked: Prescription, answer: Answer, mm: float = 1.0, deg: float = 1.0) -> tuple[str, ...]:
    """What the console set otherwise than asked, a sentence each; () where it did as it was told."""
    if answer.id != asked.id:
        return (f"the answer is to prescription {answer.id}, not to {asked.id}",)
    why = f": {'; '.join(answer.reasons)}" if answer.reasons else ""
    if answer.stack is None or asked.stack is None:
        return (f"the console refused it{why}",) if answer.stack is None else ("a refused prescription was applied",)
    told = [f"what the console set cannot be measured: {wrong}" for wrong in wrong_with(answer.stack)]
    if not told:
        other = [*_set_otherwise(asked.stack, answer.stack, mm, deg)]
        if answer.decision == "overridden" or other:
            which = ", ".join(other) or f"none of them by more than {mm:g} mm or {deg:g} deg"
            told.append(f"the console set other values ({answer.decision}): {which}{why}")
    if answer.patient_position != asked.patient_position:
        told.append(f"the patient lies {answer.patient_position}, the scout was {asked.patient_position}")
    moved_mm = math.dist(answer.table_position_mm, asked.table_position_mm)
    if not moved_mm <= mm:
        told.append(f"the table has moved by {moved_mm:.1f} mm since the scout: take a new one")
    return tuple(told)


def _set_otherwise(asked: Stack, made: Stack, mm: float, deg: float) -> Iterator[str]:
    """Every value that differs by more than it may, with both or by how much; NaN differs."""
    off = apart(asked, made)
    if not off.centre_mm <= mm:
        yield f"the middle by {off.centre_mm:.1f} mm"
    if not off.turn_deg <= deg:
        yield f"the directions by {off.turn_deg:.1f} deg"
    for name, wanted, got in zip(("read", "phase"), asked.field_of_view_mm, made.field_of_view_mm, strict=True):
        if not abs(got - wanted) <= mm:
            yield f"the field of view along {name} {got:.1f} instead of {wanted:.1f} mm"
    for name, wanted, got in (("thickness", asked.thickness_mm, made.thickness_mm), ("gap", asked.gap_mm, made.gap_mm)):
        if not abs(got - wanted) <= mm:
            yield f"the {name} {got:.1f} instead of {wanted:.1f} mm"
    if made.slices != asked.slices:
        yield f"{made.slices} instead of {asked.slices} slices"


def contradiction(before: Answer, after: Answer) -> str:
    """That a console answered twice, and not alike; "" where both say the same."""
    if before.model_dump(exclude={"time_s"}) == after.model_dump(exclude={"time_s"}):
        return ""
    return f"the console answered twice, {before.decision}, then {after.decision}; the last answer counts"
