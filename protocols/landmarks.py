"""Landmarks that somebody found in a scout: a TOML file, LPS mm from the isocentre."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from protocols.document import read_document
from protocols.geometry import DEVICE_FROM_PATIENT
from protocols.problems import Problem, ProtocolError, nearest

__all__ = ["Landmarks", "load_landmarks", "write_landmarks"]

Vector: TypeAlias = tuple[float, float, float]


class Landmarks(BaseModel):
    """What was found in one scout, and where the patient lay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anatomy: Annotated[str, Field(description="the anatomy whose landmarks they are, for example 'head'")]
    patient_position: Annotated[str, Field(description="HFS, HFP …")]
    table_position_mm: Vector = (0.0, 0.0, 0.0)
    measurement_id: Annotated[str, Field(description="of the scout, as its ISMRMRD header names it")] = ""
    time_s: Annotated[float, Field(description="Unix time of the scout's last readout")]
    snr: Annotated[float | None, Field(description="of the scout")] = None
    cut: Annotated[tuple[str, ...], Field(description="surfaces that reach beyond the scout")] = ()
    landmarks: Annotated[Mapping[str, Vector], Field(description="name -> LPS mm; those that were found")]
    region90_mm: Annotated[Mapping[str, float], Field(description="radius that holds it with 90 %")] = Field(
        default_factory=dict
    )
    covariance_mm2: Annotated[
        tuple[tuple[float, ...], ...], Field(description="of all coordinates in the order of landmarks, if known")
    ] = ()
    plan_factors: Annotated[
        Mapping[str, tuple[float, float]],
        Field(description="plan -> by what its 90 % region is wider than its landmarks make it, mm and degrees"),
    ] = Field(default_factory=dict)
    surfaces: Mapping[str, tuple[Vector, ...]] = Field(default_factory=dict)
    doubts: Annotated[tuple[str, ...], Field(description="why somebody should look first, CODE: a sentence")] = ()
    refused: Annotated[tuple[str, ...], Field(description="why nothing of it is to be used, CODE: a sentence")] = ()


def load_landmarks(path: Path) -> Landmarks:
    """Read a landmark file; raises ProtocolError with every problem found."""
    where = str(path)
    read, _ = read_document(path, Landmarks)
    if read.patient_position not in DEVICE_FROM_PATIENT:
        what = f"got {read.patient_position!r}. {nearest(read.patient_position, DEVICE_FROM_PATIENT)}"
        raise ProtocolError([Problem(where, "patient_position", what)])
    return read


def write_landmarks(found: Landmarks) -> str:
    """TOML of the landmarks, from which load_landmarks reads the same to a micrometre."""
    head = [
        f"anatomy = {json.dumps(found.anatomy)}",
        f"patient_position = {json.dumps(found.patient_position)}",
        f"table_position_mm = {_vector(found.table_position_mm)}",
        f"measurement_id = {json.dumps(found.measurement_id)}",
        f"time_s = {found.time_s!r}",
        *([] if found.snr is None else [f"snr = {found.snr!r}"]),
        f"cut = {json.dumps(found.cut)}",
        *([f"covariance_mm2 = {json.dumps(found.covariance_mm2)}"] if found.covariance_mm2 else []),
        *([f"doubts = {json.dumps(found.doubts)}"] if found.doubts else []),
        *([f"refused = {json.dumps(found.refused)}"] if found.refused else []),
    ]
    tables = ["", "[landmarks]", *(f"{name} = {_vector(place)}" for name, place in found.landmarks.items())]
    if found.region90_mm:
        tables += ["", "[region90_mm]", *(f"{name} = {mm!r}" for name, mm in found.region90_mm.items())]
    if found.plan_factors:
        tables += [
            "",
            "[plan_factors]",
            *(f"{name} = [{mm!r}, {deg!r}]" for name, (mm, deg) in found.plan_factors.items()),
        ]
    for name, points in found.surfaces.items():
        tables += ["", "[surfaces]"] if "[surfaces]" not in tables else []
        tables += [f"{name} = [", *(f"    {_vector(point)}," for point in points), "]"]
    return "\n".join([*head, *tables]) + "\n"


def _vector(values: Vector) -> str:
    return f"[{', '.join(f'{value:.3f}' for value in values)}]"
