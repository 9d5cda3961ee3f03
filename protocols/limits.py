"""Limits of quality: a number with a direction, a unit, what it rests on, and how long it holds."""

import math
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from protocols.events import Severity

__all__ = ["UNITS", "QualityLimit"]

# Every code that a limit may judge, and the unit of its score; a limit in another one would judge nonsense.
UNITS: Final[Mapping[str, str]] = {
    "artefact_aliasing": "1",
    "artefact_blurring": "1",
    "artefact_ghosting": "1",
    "artefact_motion": "1",
    "artefact_noise": "1",
    "artefact_spike": "1",
    "artefact_wrap": "1",
    "artefact_zipper": "1",
    "calibration_mismatch": "%",
    "cjv": "1",
    "cnr": "1",
    "coil_correlation": "1",
    "coil_gain": "dB",
    "coil_noise": "dB",
    "coil_signal": "dB",
    "echo_shift": "samples",
    "edge_signal": "%",
    "efc": "1",
    "falloff": "dB",
    "fber": "1",
    "frame_motion": "%",
    "fwhm_x": "mm",
    "fwhm_y": "mm",
    "error_share": "1",
    "gain_change": "dB",
    "gsr": "1",
    "linear_difference": "1",
    "local_difference": "1",
    "lost_readouts": "readouts",
    "missing_lines": "lines",
    "navigator_mismatch": "%",
    "noise_covariance_outlier": "1",
    "noise_drift": "dB",
    "noise_level": "dB",
    "patient_away": "navigators",
    "phantom_geometry": "mm",
    "phantom_ghosting": "%",
    "phantom_snr": "1",
    "phantom_uniformity": "%",
    "phase_drift": "Hz",
    "phase_jitter": "deg",
    "physiology": "s",
    "qi_1": "1",
    "readout_order": "readouts",
    "saturated_samples": "readouts",
    "snr": "1",
    "snr_total": "1",
    "snrd": "1",
    "spikes": "readouts",
    "swapped_coils": "1",
    "trust": "1",
    "trust_vs_linear": "1",
    "voids": "%",
    "wrap": "mm",
    "zipper": "dB",
}


class QualityLimit(BaseModel):
    """One [limits.KEY] table; KEY is the code of the flag it judges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Annotated[float, Field(description="a number", allow_inf_nan=False)]
    direction: Annotated[
        Literal["min", "max"], Field(description="'min' where the score must not be less, 'max' where not more")
    ]
    unit: Annotated[str, Field(description="unit of the score, '1' for a plain number")]
    basis: Annotated[
        Literal["absolute", "site percentile", "conformal"], Field(description="what the value rests on")
    ] = "absolute"
    severity: Annotated[Literal["WARN", "FAIL"], Field(description="how bad it is when broken")] = "WARN"
    valid_until: Annotated[date | None, Field(description="last day it holds, for example 2027-12-31")] = None
    advice: Annotated[str, Field(description="what the operator should do when it is broken")] = ""

    def expired(self, today: date | None = None) -> bool:
        """Whether its last day has passed."""
        return self.valid_until is not None and (today or date.today()) > self.valid_until

    def judge(self, score: float | None, today: date | None = None) -> Severity:
        """PASS, or the severity when broken; UNKNOWN where there is no number or the limit has expired."""
        if score is None or math.isnan(score) or self.expired(today):
            return Severity.UNKNOWN
        kept = score >= self.value if self.direction == "min" else score <= self.value
        return Severity.PASS if kept else Severity(self.severity)

    def __str__(self) -> str:
        sign = "≥" if self.direction == "min" else "≤"
        until = "" if self.valid_until is None else f", valid until {self.valid_until}"
        unit = "" if self.unit == "1" else f" {self.unit}"
        return f"{sign} {self.value:g}{unit}, else {self.severity} ({self.basis}{until})"
