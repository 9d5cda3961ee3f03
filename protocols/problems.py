"""How a scan protocol is told what is wrong with it: every problem at once, with file, line, key and nearest name."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

__all__ = ["Problem", "ProtocolError", "from_pydantic", "line_of", "nearest"]

Path = tuple[str, ...]
_TABLE = re.compile(r"^\s*\[+\s*([^\]#]+?)\s*\]+")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\"'-]+(?:\s*\.\s*[A-Za-z0-9_\"'-]+)*)\s*=")
_PLAIN = {  # pydantic's type of error -> what a protocol engineer calls it
    "bool_type": "true or false",
    "date_from_datetime_parsing": "a date, for example 2027-12-31",
    "dict_type": "a table",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "model_attributes_type": "a table",
    "model_type": "a table",
    "string_type": "text in quotes",
    "tuple_type": "a list",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what came, what was wanted."""

    where: str  # file, or the message it came in
    key: str  # dotted
    what: str
    line: int | None = None

    def __str__(self) -> str:
        place = self.where if self.line is None else f"{self.where}:{self.line}"
        return f"{place}: {self.key}: {self.what}" if self.key else f"{place}: {self.what}"


class ProtocolError(ValueError):
    """A scan protocol that cannot be used; its text holds one line for each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def nearest(got: str, known: Iterable[str]) -> str:
    """'Did you mean …?', or the list of what is known."""
    names = sorted(known)
    near = get_close_matches(got.lower(), names, n=2, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(repr(name) for name in near)}?"
    return f"Known: {', '.join(names) or 'nothing'}."


def _parts(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _keys(text: str) -> Iterator[tuple[int, Path]]:
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TABLE.match(line):
            table = _parts(found[1])
            yield number, table
        elif found := _KEY.match(line):
            yield number, table + _parts(found[1])


def line_of(text: str, path: Path) -> int | None:
    """Line of a key in a TOML text, or of the nearest table around it; None where neither is written."""
    lines: dict[Path, int] = {}
    for number, key in _keys(text):
        lines.setdefault(key, number)
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    models = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in models if model is not None), None)


def _table_at(model: type[BaseModel], path: Path) -> type[BaseModel]:
    for part in path:
        field = model.model_fields.get(part)
        inner = None if field is None else _model_in(field.annotation)
        model = inner or model
    return model


def _real(error: ErrorDetails, document: Mapping[str, Any]) -> Path:
    """Find the key as it is written: pydantic also names the branches of a union, which no file contains."""
    path: list[str] = []
    here: Any = document
    for part in error["loc"]:
        if isinstance(here, Mapping) and (part in here or error["type"] == "missing"):
            path.append(str(part))
            here = here.get(part)
    return tuple(path)


def _what(error: ErrorDetails, path: Path, model: type[BaseModel]) -> str:
    kind, came = error["type"], repr(error["input"])
    if kind == "extra_forbidden":
        fields = _table_at(model, path[:-1]).model_fields
        return f"no such key. {nearest(path[-1], fields)}"
    if kind == "missing":
        field = _table_at(model, path[:-1]).model_fields.get(path[-1])
        return f"missing; wanted: {(field and field.description) or 'a value'}"
    if kind == "literal_error":
        wanted = error["ctx"]["expected"]
        hint = nearest(str(error["input"]), re.findall(r"'([^']+)'", wanted))
        return f"got {came}, wanted {wanted}." + (f" {hint}" if hint.startswith("Did") else "")
    if kind in ("value_error", "assertion_error"):
        return str(error["ctx"]["error"])
    wanted = _PLAIN.get(error["type"]) or error["msg"].removeprefix("Input should be ")
    return f"got {came}, wanted {wanted}"


def from_pydantic(
    errors: Iterable[ErrorDetails], model: type[BaseModel], document: Mapping[str, Any], text: str, where: str
) -> list[Problem]:
    """One problem a key, in the order of the file, in the words of a protocol engineer."""
    told: dict[Path, list[str]] = {}
    for error in errors:
        path = _real(error, document)
        what = _what(error, path, model)
        if what not in told.setdefault(path, []):
            told[path].append(what)
    problems = [
        Problem(where, ".".join(path), "; or ".join(whats), line_of(text, path)) for path, whats in told.items()
    ]
    return sorted(problems, key=lambda problem: problem.line or 0)
