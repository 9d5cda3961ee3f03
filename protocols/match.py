"""Which scans a scan protocol is for: patterns over what the ISMRMRD header says."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from protocols.scan import Scan

__all__ = ["Match", "fits"]


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Range = tuple[float, float]

_TEXTS = ("trajectory", "calibration_mode", "protocol_name", "system_vendor", "system_model", "sequence_type")
_RANGES = ("acceleration", "acceleration_2", "coils", "matrix_x", "matrix_y", "matrix_z", "repetitions", "field_t")
_ALWAYS = ("trajectory", "matrix_x", "matrix_y", "matrix_z")


class Match(BaseModel):
    """The [match] table: every condition given must hold; ranges include both ends; text is case-blind.

    Text conditions are one glob or a list of globs. The last glob that fits decides, and '!' in front excludes:
    ["*", "!pulseq*"] is everything but pulseq. What the header does not say fits no condition.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    priority: Annotated[int, Field(description="the highest wins; then the one with most conditions")] = 0
    trajectory: Annotated[Patterns, Field(description="cartesian, epi, radial, spiral …")] = ()
    calibration_mode: Annotated[Patterns, Field(description="embedded, interleaved, separate, external, other")] = ()
    protocol_name: Annotated[Patterns, Field(description="glob on measurementInformation/protocolName")] = ()
    system_vendor: Annotated[Patterns, Field(description="glob on systemVendor")] = ()
    system_model: Annotated[Patterns, Field(description="glob on systemModel")] = ()
    sequence_type: Annotated[Patterns, Field(description="glob on sequenceParameters/sequence_type")] = ()
    acceleration: Annotated[Range | None, Field(description="[least, most] along encode step 1")] = None
    acceleration_2: Annotated[Range | None, Field(description="[least, most] along encode step 2")] = None
    coils: Annotated[Range | None, Field(description="[least, most] receiver channels")] = None
    matrix_x: Annotated[Range | None, Field(description="[least, most] encoded matrix, readout")] = None
    matrix_y: Annotated[Range | None, Field(description="[least, most] encoded matrix, encode step 1")] = None
    matrix_z: Annotated[Range | None, Field(description="[least, most] encoded matrix, encode step 2")] = None
    repetitions: Annotated[Range | None, Field(description="[least, most] repetitions of a series")] = None
    field_t: Annotated[Range | None, Field(description="[least, most] field strength in tesla")] = None

    @model_validator(mode="after")
    def _ranges_run_upwards(self) -> "Match":
        wrong = [f"{key}: got {list(ends)}" for key in _RANGES if (ends := getattr(self, key)) and ends[0] > ends[1]]
        if wrong:
            raise ValueError(f"{'; '.join(wrong)}, wanted [least, most]")
        return self

    @property
    def conditions(self) -> int:
        """How many conditions it states: the more, the more particular it is."""
        return sum(bool(getattr(self, key)) for key in (*_TEXTS, *_RANGES))

    def refusals(self, scan: Scan, *, by_name: bool = False) -> list[str]:
        """Why this scan is not meant, one sentence a condition; empty where it is.

        A console that asks for a scan protocol by name overrides all but what the chain cannot do without: trajectory
        and matrix.
        """
        said = _said(scan)
        keys = _ALWAYS if by_name else (*_TEXTS, *_RANGES)
        return list(self._unmet(said, keys))

    def _unmet(self, said: dict[str, str | float | None], keys: tuple[str, ...]) -> Iterator[str]:
        for key in keys:
            wanted, got = getattr(self, key), said[key]
            if not wanted:
                continue
            if key in _TEXTS:
                kept = fits(str(got or ""), wanted)
            else:
                kept = isinstance(got, (int, float)) and wanted[0] <= got <= wanted[1]
            if not kept:
                came = "nothing" if got in (None, "") else repr(got)
                yield f"{key}: got {came}, wanted {_wanted(wanted)}"

    def __str__(self) -> str:
        given = [(key, getattr(self, key)) for key in (*_TEXTS, *_RANGES)]
        stated = ", ".join(f"{key} {_wanted(value)}" for key, value in given if value)
        return f"{stated or 'any header'} (priority {self.priority})"


def _wanted(value: tuple[str, ...] | Range) -> str:
    if isinstance(value[0], str):
        return " ".join(map(str, value))
    least, most = value
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"


def fits(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether a text fits a list of globs, of which the last that fits decides; '!' in front excludes."""
    if not text or not patterns:
        return False
    verdict = patterns[0].startswith("!")
    for pattern in patterns:
        if fnmatchcase(text.lower(), pattern.removeprefix("!").lower()):
            verdict = not pattern.startswith("!")
    return verdict


def _said(scan: Scan) -> dict[str, str | float | None]:
    encoding = scan.encodings[0]
    repetition = encoding.limits.get("repetition")
    x, y, z = encoding.encoded_matrix
    return {
        "trajectory": encoding.trajectory,
        "calibration_mode": encoding.calibration_mode,
        "protocol_name": scan.protocol_name,
        "system_vendor": scan.system_vendor,
        "system_model": scan.system_model,
        "sequence_type": scan.sequence_type,
        "acceleration": encoding.acceleration[0],
        "acceleration_2": encoding.acceleration[1],
        "coils": scan.coils,
        "matrix_x": x,
        "matrix_y": y,
        "matrix_z": z,
        "repetitions": None if repetition is None else repetition.maximum - repetition.minimum + 1,
        "field_t": scan.field_strength_t,
    }
