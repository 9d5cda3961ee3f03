"""Scan protocols: one TOML file a scan protocol, checked as a whole when it is read, found by name or by header."""

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from protocols.limits import UNITS
from protocols.problems import Problem, ProtocolError, from_pydantic, line_of, nearest
from protocols.scan import Scan
from protocols.tables import Chain, Document, Engines, ScanProtocol

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "Chain",
    "Engines",
    "ProtocolError",
    "ScanProtocol",
    "find",
    "load",
    "load_all",
    "names",
    "parse",
    "select",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_CODE = re.compile(r"[a-z0-9_]+")


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        what = f"not TOML: {error}"
        raise ProtocolError([Problem(where, "", what, int(found[1]) if found else None)]) from error


def _own_checks(document: dict[str, Any], text: str, where: str) -> list[Problem]:
    """Compare tables with each other; every one of them may still be malformed here."""
    told: list[tuple[tuple[str, ...], str]] = []
    chain, name = document.get("chain"), document.get("name")
    if isinstance(name, str) and not _NAME.fullmatch(name):
        told.append((("name",), f"got {name!r}, wanted letters, digits, '_' and '-'"))
    if isinstance(chain, dict) and isinstance(order := chain.get("order"), list):
        nodes = [node for node in order if isinstance(node, str)]
        strange = [key for key, value in chain.items() if isinstance(value, dict) and key not in nodes]
        told += [(("chain", key), f"not in chain.order. {nearest(key, nodes)}") for key in strange]
        stages = document.get("deadlines")
        late = [key for key in stages if key not in (*nodes, "image")] if isinstance(stages, dict) else []
        told += [(("deadlines", key), f"no such stage. {nearest(key, (*nodes, 'image'))}") for key in late]
    limits = document.get("limits")
    codes = [key for key in limits if not _CODE.fullmatch(key)] if isinstance(limits, dict) else []
    told += [(("limits", key), f"got {key!r}, wanted small letters, digits and '_'") for key in codes]
    told += [(("limits", key), f"no check has this code. {nearest(key, UNITS)}") for key in _unknown(limits, codes)]
    told += list(_wrong_units(limits)) if isinstance(limits, dict) else []
    return [Problem(where, ".".join(path), what, line_of(text, path)) for path, what in told]


def _unknown(limits: Any, misspelt: list[str]) -> list[str]:
    """Codes of limits that would never judge anything."""
    return [key for key in limits if key not in (*UNITS, *misspelt)] if isinstance(limits, dict) else []


def _wrong_units(limits: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Limits in another unit than that of the score they are to judge."""
    for key, table in limits.items():
        unit = table.get("unit") if isinstance(table, dict) else None
        if isinstance(unit, str) and unit != UNITS.get(key, unit):
            yield ("limits", key, "unit"), f"got {unit!r}, wanted {UNITS[key]!r}: the score is in this unit"


def parse(text: str, where: str) -> ScanProtocol:
    """Read a scan protocol from its text; raises ProtocolError with every problem found."""
    document = _toml(text, where)
    problems = _own_checks(document, text, where)
    try:
        read = Document.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as error:
        problems += from_pydantic(error.errors(), Document, document, text, where)
        raise ProtocolError(problems) from error
    if problems:
        raise ProtocolError(problems)
    return ScanProtocol(**dict(read), hash=hashlib.sha256(text.encode()).hexdigest(), where=where)


def load(path: Path) -> ScanProtocol:
    """Read a scan protocol from its file, which bears its name; raises ProtocolError with every problem found."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError([Problem(str(path), "", f"not UTF-8 text: {error}")]) from error
    except OSError as error:
        raise ProtocolError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from error
    protocol = parse(text, str(path))
    if protocol.name != path.stem:
        what = f"got {protocol.name!r}, wanted {path.stem!r}, as the file is called"
        raise ProtocolError([Problem(str(path), "name", what, line_of(text, ("name",)))])
    return protocol


def _files(folders: Sequence[Path]) -> dict[str, Path]:
    """Name -> file; a site's folders stand before the shipped ones, the first that has a name holds it."""
    shipped = Path(str(resources.files("protocols") / "exams"))
    found: dict[str, Path] = {}
    for folder in (*folders, shipped):
        if not folder.is_dir():
            raise ProtocolError([Problem(str(folder), "", "got no folder, wanted one with *.toml scan protocols")])
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def names(folders: Sequence[Path] = ()) -> tuple[str, ...]:
    """Names of all scan protocols, those of the given folders and the shipped ones."""
    return tuple(sorted(_files(folders)))


def load_all(folders: Sequence[Path] = ()) -> tuple[ScanProtocol, ...]:
    """Read all scan protocols by name; raises ProtocolError with the problems of every file."""
    protocols: list[ScanProtocol] = []
    problems: list[Problem] = []
    for _, path in sorted(_files(folders).items()):
        try:
            protocols.append(load(path))
        except ProtocolError as error:
            problems += error.problems
    if problems:
        raise ProtocolError(problems)
    return tuple(protocols)


def find(name: str, folders: Sequence[Path] = ()) -> ScanProtocol:
    """Read the scan protocol of that name (with or without .toml); raises ProtocolError, never takes another."""
    files = _files(folders)
    path = files.get(name.removesuffix(".toml"))
    if path is None:
        what = f"no scan protocol of this name. {nearest(name.removesuffix('.toml'), files)}"
        raise ProtocolError([Problem("config", repr(name), what)])
    return load(path)


def select(scan: Scan, protocols: Iterable[ScanProtocol]) -> ScanProtocol:
    """Choose by header: highest priority, then most conditions; raises ProtocolError where none or two fit alike."""
    candidates = [(protocol, protocol.match) for protocol in protocols if protocol.match is not None]
    whys = {protocol.name: match.refusals(scan) for protocol, match in candidates}
    fitting = [
        (match.priority, match.conditions, protocol) for protocol, match in candidates if not whys[protocol.name]
    ]
    if not fitting:
        least = min(map(len, whys.values()), default=0)
        told = ", ".join(f"{name} ({'; '.join(why)})" for name, why in whys.items() if len(why) == least)
        what = f"not supported yet: no scan protocol is for this scan. Nearest: {told or 'none known'}"
        raise ProtocolError([Problem("header", "", what)])
    best = max((priority, conditions) for priority, conditions, _ in fitting)
    first, *others = [protocol for *rank, protocol in fitting if tuple(rank) == best]
    if others:
        both = ", ".join(f"{protocol.name} ({protocol.where})" for protocol in (first, *others))
        what = f"more than one scan protocol is for this scan: {both}. Give one a higher [match] priority"
        raise ProtocolError([Problem("header", "", what)])
    return first
