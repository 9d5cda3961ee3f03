"""Compiled plans in the user's cache, each beside what it was built for and its SHA-256.

A plan is native code to who loads it, so nothing is handed out that was not written here by this user for exactly this
model, library, GPU, driver and set of options. What does not fit is built again. A plan whose images were found wrong
is refused until one of these changes.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["Plans", "user_plans"]

Key = Mapping[str, str]


class Plans:
    """A folder of plans; where it cannot be written, one line is told and plans are simply not kept."""

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self.folder = folder
        self._tell = tell
        self._told = False

    def path(self, key: Key) -> Path:
        """Where the plan for a key lies; the name tells people what it is of."""
        named = "-".join(key.get(part, "any") for part in ("model", "graph", "backend"))
        return self.folder / f"{_plain(named)}-{_digest(key)[:16]}.plan"

    def get(self, key: Key) -> bytes | None:
        """Read a plan built for this key and not touched since; None where there is none, with a line if it is bad."""
        path = self.path(key)
        note = self._note(path)
        if note is None:
            return None
        foreign = _difference(note["key"], key)
        if foreign:
            self._tell(f"plan {path.name}: {foreign}; it is built again")
            return None
        try:
            content = _own(path).read_bytes()
        except OSError as error:
            self._tell(f"plan {path.name}: {error.strerror or error}; it is built again")
            return None
        if hashlib.sha256(content).hexdigest() != note.get("sha256"):
            self._tell(f"plan {path.name}: damaged or altered; it is built again")
            return None
        return content

    def put(self, key: Key, plan: bytes) -> bool:
        """Keep a plan: first the plan, then the note without whose hash it counts for nothing; False where it can't."""
        path = self.path(key)
        note = {"key": dict(key), "sha256": hashlib.sha256(plan).hexdigest()}
        return self._write({path: plan, path.with_suffix(".json"): json.dumps(note, indent=1).encode()})

    def forget(self, key: Key) -> bool:
        """Remove the plan of a key; False where there is none, or it cannot be removed."""
        try:
            self.path(key).unlink()
        except OSError:
            return False
        return True

    def refuse(self, key: Key, reason: str) -> None:
        """Remove a plan and remember why there must be none."""
        self.forget(key)
        path = self.path(key)
        self._write({path.with_suffix(".json"): json.dumps({"key": dict(key), "refused": reason}, indent=1).encode()})

    def accept(self, key: Key) -> None:
        """Forget a refusal."""
        path = self.path(key)
        if self.refused(key) is not None:
            with suppress(OSError):
                path.with_suffix(".json").unlink()

    def refused(self, key: Key) -> str | None:
        """Say why there must be no plan for this key, or None."""
        note = self._note(self.path(key))
        return None if note is None or _difference(note["key"], key) else note.get("refused")

    def _note(self, path: Path) -> dict[str, Any] | None:
        try:
            note = json.loads(_own(path.with_suffix(".json")).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            self._tell(f"plan {path.name}: its note cannot be used ({error}); it is built again")
            return None
        return note if isinstance(note, dict) and isinstance(note.get("key"), dict) else None

    def _write(self, files: Mapping[Path, bytes]) -> bool:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path, content in files.items():
                _replace(path, content)
        except OSError as error:
            if not self._told:
                self._tell(
                    f"plans cannot be kept in {self.folder}: {error.strerror or error}; each start builds them anew"
                )
            self._told = True
            return False
        return True


def user_plans(tell: Callable[[str], None]) -> Plans:
    """Plans in the cache folder of the user."""
    from platformdirs import user_cache_path

    return Plans(user_cache_path("scanside") / "plans", tell)


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _own(path: Path) -> Path:
    """Let only a file pass that is the user's and that nobody else can write."""
    state = path.stat()
    if hasattr(os, "getuid") and (state.st_uid != os.getuid() or state.st_mode & 0o022):
        raise PermissionError(1, "belongs to, or can be written by, somebody else", str(path))
    return path


def _difference(got: Mapping[str, str], wanted: Key) -> str:
    """Name the first thing that a plan was built for and is not here."""
    for part in (*wanted, *got):
        if got.get(part) != wanted.get(part):
            return f"built for {part} {got.get(part)!r}, here it is {wanted.get(part)!r}"
    return ""


def _digest(key: Key) -> str:
    return hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)
