"""What goes over the bus, one type a topic; the JSON Schemas are made from these types."""

import time
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from protocols.stack import Stack

__all__ = [
    "EVENTS",
    "Advice",
    "Again",
    "Event",
    "Flag",
    "Health",
    "ImageReady",
    "Metrics",
    "Prescription",
    "Quality",
    "Severity",
]

Vector = tuple[float, float, float]


class Severity(str, Enum):
    """How bad it is; a check that could not judge says UNKNOWN, never PASS."""

    PASS = "PASS"  # noqa: S105
    WARN = "WARN"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"

    @property
    def broken(self) -> bool:
        """Whether a limit was judged, and broken."""
        return self in (Severity.WARN, Severity.FAIL)


class _Event(BaseModel):
    """A frozen value with a version; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="null", json_schema_serialization_defaults_required=True
    )

    version: Literal[1] = 1
    time_s: Annotated[float, Field(description="Unix time when it was made")] = Field(default_factory=time.time)
    session: Annotated[str, Field(description="connection it belongs to; never a patient's name")] = ""


class Flag(_Event):
    """One judgement of one check, with what it rests on and what to do."""

    topic: Literal["flag"] = "flag"
    code: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    severity: Severity
    message: str
    advice: str = ""
    score: float | None = None
    unit: str = ""
    limit: float | None = None
    limit_id: Annotated[str, Field(description="hash of the scan protocol file and key of the limit")] = ""
    evidence: Annotated[
        dict[str, int | float | str | list[int]], Field(description="slice, repetition, coil, line, sample …")
    ] = Field(default_factory=dict)
    model_hash: str = ""


class Metrics(_Event):
    """Timings and counts of one connection since it began."""

    topic: Literal["metrics"] = "metrics"
    readouts: int = 0
    frames: int = 0
    images: int = 0
    flags: int = 0
    dropped: int = 0
    stage_p50_ms: dict[str, float] = Field(default_factory=dict)
    stage_p99_ms: dict[str, float] = Field(default_factory=dict)
    queue_depth: dict[str, int] = Field(default_factory=dict)


class ImageReady(_Event):
    """An image has left for the console."""

    topic: Literal["image-ready"] = "image-ready"
    protocol: str
    series: int
    index: int
    slice: int
    repetition: int = 0
    latency_ms: float
    engine: str


class Quality(_Event):
    """What was measured on an image that has left: figures, their units, and why one is missing."""

    topic: Literal["quality"] = "quality"
    protocol: str
    series: int
    index: int = 0
    slice: int
    contrast: int = 0
    repetition: int = 0
    engine: str = ""
    figures: Annotated[dict[str, float | None], Field(description="name -> value, null where it cannot be told")]
    units: dict[str, str] = Field(default_factory=dict)
    unknown: Annotated[dict[str, str], Field(description="name -> why its value is null")] = Field(default_factory=dict)


class Health(_Event):
    """The plugin is alive, and how it is."""

    topic: Literal["health"] = "health"
    status: Literal["starting", "ready", "busy", "stopping"]
    release: str
    connections: int = 0
    uptime_s: float = 0.0
    resident_mib: float = 0.0
    engines: Annotated[dict[str, str], Field(description="model -> what runs it, or why nothing does")] = Field(
        default_factory=dict
    )


class Prescription(_Event):
    """Where the next slices should lie; a REFUSED one names no place, as a guess would be taken for an answer."""

    topic: Literal["prescription"] = "prescription"
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", description="the console's answer bears it too")]
    status: Literal["OK", "REVIEW", "REFUSED"]
    reasons: Annotated[
        tuple[str, ...],
        Field(description="'code: sentence': why the status is not OK; of an OK one, what it rests on (as_before)"),
    ] = ()
    anatomy: str = ""
    plan: str = ""
    stack: Stack | None = None
    patient_position: str
    table_position_mm: Annotated[Vector, Field(description="of the scout, device axes")] = (0.0, 0.0, 0.0)
    scout_measurement_id: str = ""
    region90_mm: Annotated[float | None, Field(description="half-width, of the middle along slice_dir")] = None
    region90_deg: Annotated[float | None, Field(description="half-width, of the turn")] = None
    expires_s: Annotated[float | None, Field(description="Unix time from which it is stale")] = None

    @model_validator(mode="after")
    def _places_nothing_that_is_refused(self) -> "Prescription":
        if (self.stack is None) != (self.status == "REFUSED"):
            raise ValueError(
                f"{self.status} with stack {self.stack}: a stack belongs to OK and REVIEW, none to REFUSED"
            )
        if self.status != "OK" and not self.reasons:
            raise ValueError(f"{self.status} without a reason")
        return self


class Again(BaseModel):
    """A frame that should be acquired again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slice: Annotated[int, Field(ge=0)]
    contrast: Annotated[int, Field(ge=0)] = 0
    repetition: Annotated[int, Field(ge=0)] = 0
    steps: Annotated[tuple[int, ...], Field(description="encode steps that will do; none: all of them")] = ()


class Advice(_Event):
    """What to do about a scan that is still running; the last one of a scan holds all frames to acquire again."""

    topic: Literal["advice"] = "advice"
    protocol: str
    action: Literal["stop", "reacquire", "abort"]
    again: tuple[Again, ...] = ()
    reason: str
    because: Annotated[tuple[str, ...], Field(description="codes of the flags it rests on")] = ()

    @model_validator(mode="after")
    def _says_what_to_reacquire(self) -> "Advice":
        if (self.action == "reacquire") != bool(self.again):
            raise ValueError(f"{self.action} with {len(self.again)} frames: frames belong to reacquire, and only to it")
        return self


Event = Flag | Metrics | ImageReady | Quality | Health | Prescription | Advice
EVENTS: Final[Mapping[str, type[Event]]] = {
    "flag": Flag,
    "metrics": Metrics,
    "image-ready": ImageReady,
    "quality": Quality,
    "health": Health,
    "prescription": Prescription,
    "advice": Advice,
}
