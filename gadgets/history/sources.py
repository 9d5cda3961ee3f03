"""Past scans from files: flags.json of exams, and stores."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gadgets.history.record import OWN, Past
from gadgets.history.store import Store, StoreError
from protocols.events import Flag

__all__ = ["read"]

SQLITE = b"SQLite format 3\0"
_FLAGS = TypeAdapter(list[Flag])


def read(files: Sequence[Path], protocol: str, names: Mapping[str, str]) -> list[Past]:
    """Scans of a scan protocol in files of flags and in stores; `names` is short hash -> known scan protocol.

    Flags name the hash of their limits' file, so scans of another known scan protocol are left out; those of a hash
    that nobody knows, such as that of an earlier edition, are taken. Raises StoreError for a file that is neither.
    """
    found = [past for path in files for past in _read(path, names)]
    return [past for past in found if past.protocol in ("", protocol)]


def _read(path: Path, names: Mapping[str, str]) -> Iterable[Past]:
    with path.open("rb") as file:
        is_store = file.read(len(SQLITE)) == SQLITE
    if is_store:
        with Store(path) as store:
            return store.pasts()
    try:
        flags = _FLAGS.validate_json(path.read_bytes())
    except ValidationError as error:
        what = error.errors()[0]
        where = ".".join(map(str, what["loc"]))
        raise StoreError(
            f"{path}: {where + ': ' if where else ''}{what['msg']}; wanted a history, or flags.json as in out/exam"
        ) from error
    sessions: dict[str, list[Flag]] = defaultdict(list)
    for flag in flags:
        if flag.code not in OWN:
            sessions[flag.session].append(flag)
    return [_past(number, scan, names) for number, scan in enumerate(sessions.values(), 1)]


def _past(number: int, flags: Sequence[Flag], names: Mapping[str, str]) -> Past:
    scores: dict[str, list[float]] = defaultdict(list)
    for flag in flags:
        if flag.score is not None:
            scores[flag.code].append(flag.score)
    known = [names[digits] for flag in flags if (digits := flag.limit_id.partition(":")[0]) in names]
    return Past(
        scan=number,
        time_s=min(flag.time_s for flag in flags),
        protocol=known[0] if known else "",
        scanner="",
        scores=dict(scores),
        units={flag.code: flag.unit for flag in flags if flag.score is not None},
        broken=frozenset(flag.code for flag in flags if flag.severity.broken),
        told=Counter(flag.code for flag in flags),
        bounds={flag.code: flag.limit for flag in flags if flag.limit is not None},
    )
