"""What the ISMRMRD header says of a scan, as frozen values of our own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Encoding", "Limit", "Scan"]

Triple = tuple[int, int, int]
TripleMm = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Limit:
    """Range of one encoding counter; centre is where k = 0 lies."""

    minimum: int
    maximum: int
    centre: int


@dataclass(frozen=True, slots=True)
class Encoding:
    """One encoding space: what was measured, and what it is to become."""

    trajectory: str  # lower case: cartesian, epi, radial, spiral, other …
    encoded_matrix: Triple  # x, y, z
    encoded_fov_mm: TripleMm
    recon_matrix: Triple
    recon_fov_mm: TripleMm
    limits: Mapping[str, Limit]  # by counter name: kspace_encoding_step_1, slice, repetition …; those the header gives
    acceleration: tuple[int, int] = (1, 1)  # along encode step 1 and 2
    calibration_mode: str = ""  # lower case: embedded, interleaved, separate, external, other or ""

    @property
    def repeats(self) -> bool:
        """Whether a slice is seen more than once."""
        again = (self.limits.get(name) for name in ("repetition", "phase", "set", "contrast"))
        return any(limit is not None and limit.maximum > limit.minimum for limit in again)


@dataclass(frozen=True, slots=True)
class Scan:
    """One measurement as its header describes it; what the header omits is None, empty or the default."""

    encodings: tuple[Encoding, ...]
    coils: int | None = None
    coil_labels: tuple[str, ...] = ()
    measurement_id: str = ""
    protocol_name: str = ""
    patient_position: str = ""  # HFS, HFP, HFDR, HFDL, FFS … or "" where not known
    dependencies: Mapping[str, str] = field(default_factory=dict)  # dependency type -> measurement id
    field_strength_t: float | None = None
    resonance_hz: float | None = None
    relative_noise_bandwidth: float | None = None
    system_vendor: str = ""
    system_model: str = ""
    sequence_type: str = ""
    tr_ms: tuple[float, ...] = ()
    te_ms: tuple[float, ...] = ()
    ti_ms: tuple[float, ...] = ()
    flip_angle_deg: tuple[float, ...] = ()
    parameters: Mapping[str, str | int | float] = field(default_factory=dict)  # userParameters of all types by name
