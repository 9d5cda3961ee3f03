"""From NAME@PLACE:STRENGTH,key=value to a fault that is asked for."""

import re
from difflib import get_close_matches
from math import isfinite
from typing import Final

from hw_sim.errors import SimulationError
from hw_sim.faults.fault import AXES, Asked, Fault, Place
from hw_sim.faults.table import FAULTS

__all__ = ["ask", "find_fault"]

FORM: Final = re.compile(
    r"(?P<name>[^@:,]+)(?:@(?P<place>[^@:,]+))?(?::(?P<strength>[^@:,]+))?(?P<keys>(?:,[^=,]+=[^=,]+)*)"
)
NUMBER: Final = re.compile(r"\s*([-+]?\d+\.?\d*(?:e[-+]?\d+)?)\s*(.*?)\s*", re.IGNORECASE)
COUNTS: Final = {"lines", "readouts"}


def find_fault(name: str) -> Fault:
    """Look a fault up by name; raises SimulationError with the nearest name."""
    known = name.strip().replace("-", "_")
    if known in FAULTS:
        return FAULTS[known]
    near = get_close_matches(known, FAULTS, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(FAULTS)}."
    raise SimulationError(f"no fault called '{name}'. {hint}")


def ask(text: str, at: int | None = None) -> Asked:
    """Read what a user typed, for example spike@120:10,coil=3; raises SimulationError with what was wanted.

    `at` is the place if the text names none; what neither names is as `scanside-sim faults` lists it.
    """
    parts = FORM.fullmatch(text.strip())
    if parts is None:
        raise SimulationError(
            f"--fault: got '{text}', wanted NAME@PLACE:STRENGTH,key=value, for example spike@120:10,coil=3"
        )
    fault = find_fault(parts["name"])
    placed = parts["place"] or (fault.place if at is None or not fault.placed else str(at))
    if parts["place"] and not fault.placed:
        raise SimulationError(f"{text}: {fault.name} takes no place. Try {fault.name}")
    keys = {name: key.default for name, key in fault.keys.items()}
    for pair in filter(None, parts["keys"].split(",")):
        name, value = _detail(fault, pair, text)
        keys[name] = value
    return Asked(fault, _strength(fault, parts["strength"], text), _place(placed, text) if placed else None, keys)


def _detail(fault: Fault, pair: str, whole: str) -> tuple[str, float]:
    """Read name=number, or name=axis."""
    name, _, text = (part.strip() for part in pair.partition("="))
    if name not in fault.keys:
        raise SimulationError(f"{whole}: {fault.name} has no '{name}', it has {', '.join(fault.keys) or 'no details'}")
    key = fault.keys[name]
    if key.axis and text not in set(AXES):
        raise SimulationError(f"{whole}: got {name}={text}, wanted x, y or z")
    value = AXES.index(text) if key.axis else _number(text, key.unit, f"{whole}: {name}")
    if not key.unit and value % 1:
        raise SimulationError(f"{whole}: got {name}={text}, wanted a whole number")
    if not key.least <= value <= key.most:
        raise SimulationError(f"{whole}: got {name}={text}, wanted {key.what}, {key.least:g} to {key.most:g}")
    return name, value


def _strength(fault: Fault, text: str | None, whole: str) -> float:
    if text is None:
        return fault.strength
    if not fault.unit:
        raise SimulationError(f"{whole}: {fault.name} has no strength. Try {fault.name}")
    value = _number(text, fault.unit, f"{whole}: strength")
    if fault.unit in COUNTS and value % 1:
        raise SimulationError(f"{whole}: got {value:g} {fault.unit}, wanted a whole number")
    if value < fault.least:
        raise SimulationError(f"{whole}: got {value:g} {fault.unit}, wanted at least {fault.least:g}")
    return value


def _place(text: str, whole: str) -> Place:
    unit = text.strip()[-1:] if text.strip()[-1:] in {"s", "%"} else ""
    value = _number(text, unit, f"{whole}: place")
    if value < 0 or (unit == "%" and value > 100) or (not unit and value % 1):
        raise SimulationError(
            f"{whole}: got place {text}, wanted the number of an imaging readout (120), a time (1.5s), or a share (50%)"
        )
    return Place(value, unit)


def _number(text: str, unit: str, where: str) -> float:
    """Read a number with or without its unit."""
    found = NUMBER.fullmatch(text)
    if found is None or found[2] not in {"", unit} or not isfinite(float(found[1])):
        raise SimulationError(f"{where}: got '{text}', wanted a number{f' of {unit}' if unit else ''}")
    return float(found[1])
