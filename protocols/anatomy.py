"""Anatomies: which landmarks there are, and the rules that make prescriptions of them; one TOML file each."""

import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from protocols.document import read_document
from protocols.problems import Problem, ProtocolError, line_of, nearest

__all__ = ["Anatomy", "Axis", "Check", "Limits", "Plan", "anatomies", "find_anatomy", "load_anatomy"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Axis(_Table):
    """A unit vector made of landmarks, in exactly one of three ways."""

    along: Annotated[tuple[Names, Names] | None, Field(description="from one landmark (or several) to another")] = None
    normal_of: Annotated[tuple[str, ...] | None, Field(min_length=3, description="landmarks of a plane")] = None
    towards: Annotated[tuple[str, str] | None, Field(description="from, to: the side to which normal_of points")] = None
    cross: Annotated[tuple[str, str] | None, Field(description="two axes whose vector product it is")] = None
    square_to: Annotated[str | None, Field(description="an axis of which it shall have no part")] = None

    @model_validator(mode="after")
    def _one_way(self) -> "Axis":
        given = [key for key in ("along", "normal_of", "cross") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"got {', '.join(given) or 'none'} of along, normal_of, cross; wanted exactly one")
        if (self.normal_of is None) != (self.towards is None):
            raise ValueError("normal_of and towards belong together: a plane has two sides")
        return self

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Names of landmarks that it is made of itself."""
        along = self.along or ((), ())
        return (*along[0], *along[1], *(self.normal_of or ()), *(self.towards or ()))

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of axes that it is made of."""
        return (*(self.cross or ()), *((self.square_to,) if self.square_to else ()))


class Check(_Table):
    """A distance that every such anatomy has."""

    between: tuple[str, str]
    mm: tuple[Positive, Positive]


class Limits(_Table):
    """From when on a prescription wants a second look, or is none."""

    off_plane_mm: Positive
    snr: NotNegative
    region90_mm: Positive
    region90_deg: Positive
    scout_age_s: Positive


class Plan(_Table):
    """A stack of slices in terms of axes, landmarks and surfaces."""

    title: str
    slice: Annotated[str, Field(description="axis along which slices are counted, '-' in front turns it round")]
    read: Annotated[str, Field(description="axis of the readout; what lies along `slice` is taken away")]
    through: Annotated[Names | None, Field(description="landmarks in whose middle the middle slice lies")] = None
    cover: Annotated[Names, Field(description="a surface, or landmarks, that the slices reach beyond")]
    contain: Annotated[str, Field(description="a surface that the field of view holds")]
    thickness_mm: Positive
    gap_mm: NotNegative = 0.0
    margin_mm: Annotated[NotNegative, Field(description="that slices cover beyond")] = 0.0
    air_mm: Annotated[NotNegative, Field(description="between surface and edge of the field of view")] = 0.0


class Anatomy(_Table):
    """What an anatomy's file says."""

    name: str
    title: str
    landmarks: Mapping[str, str]
    surfaces: Mapping[str, str]
    axes: Mapping[str, Axis]
    checks: tuple[Check, ...] = ()
    limits: Limits
    plans: Annotated[Mapping[str, Plan], Field(min_length=1)]
    hash: str = ""  # sha256 of the text
    where: str = ""  # file

    def made_of(self, plan: str) -> tuple[str, ...]:
        """Names of all landmarks without which a plan is nothing, each once."""
        wanted = self.plans[plan]
        names = [*(wanted.through or ()), *(name for name in wanted.cover if name in self.landmarks)]
        left = [wanted.slice.removeprefix("-"), wanted.read.removeprefix("-")]
        while left:
            axis = self.axes[left.pop()]
            names += axis.landmarks
            left += axis.axes
        return tuple(dict.fromkeys(names))


def load_anatomy(path: Path) -> Anatomy:
    """Read an anatomy's file; raises ProtocolError with every problem found."""
    where = str(path)
    read, text = read_document(path, Anatomy)
    told = [Problem(where, ".".join(key), what, line_of(text, key)) for key, what in _loose_ends(read, path.stem)]
    if told:
        raise ProtocolError(told)
    return read.model_copy(update={"hash": hashlib.sha256(text.encode()).hexdigest(), "where": where})


def anatomies() -> tuple[str, ...]:
    """Names of the anatomies that are shipped."""
    return tuple(sorted(path.name[:-5] for path in (resources.files("protocols") / "anatomies").iterdir()))


def find_anatomy(name: str) -> Anatomy:
    """Read an anatomy by name or by file; raises ProtocolError."""
    if name.endswith(".toml"):
        return load_anatomy(Path(name))
    if name not in anatomies():
        raise ProtocolError([Problem("anatomy", repr(name), f"no such anatomy. {nearest(name, anatomies())}")])
    return load_anatomy(Path(str(resources.files("protocols") / "anatomies" / f"{name}.toml")))


def _loose_ends(read: Anatomy, stem: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Names that lead nowhere, and axes made of themselves, with the key where they stand."""
    if read.name != stem:
        yield ("name",), f"got {read.name!r}, wanted {stem!r}, as the file is called"
    for name, axis in read.axes.items():
        yield from _unknown(("axes", name), axis.landmarks, read.landmarks, "landmark")
        yield from _unknown(("axes", name), axis.axes, read.axes, "axis")
        if name in _behind(read, name):
            yield ("axes", name), "it is made of itself"
    for check in read.checks:
        yield from _unknown(("checks",), check.between, read.landmarks, "landmark")
    for name, plan in read.plans.items():
        here = ("plans", name)
        yield from _unknown(here, [axis.removeprefix("-") for axis in (plan.slice, plan.read)], read.axes, "axis")
        yield from _unknown(here, plan.through or (), read.landmarks, "landmark")
        yield from _unknown(here, (plan.contain,), read.surfaces, "surface")
        one = plan.cover if len(plan.cover) == 1 else ()
        known = {**read.landmarks, **(read.surfaces if one else {})}
        yield from _unknown(here, plan.cover, known, "surface or landmark" if one else "landmark")


def _unknown(
    key: tuple[str, ...], names: Any, known: Mapping[str, object], what: str
) -> Iterator[tuple[tuple[str, ...], str]]:
    for name in names:
        if name not in known:
            yield key, f"no {what} is called '{name}'. {nearest(name, known)}"


def _behind(read: Anatomy, name: str) -> set[str]:
    """Names of all axes that one is made of, directly or not."""
    found: set[str] = set()
    left = list(read.axes[name].axes)
    while left:
        one = left.pop()
        if one in read.axes and one not in found:
            found.add(one)
            left += read.axes[one].axes
    return found
