"""The folder of prior exams: one file a subject and anatomy, named by a keyed hash, of an operator who asked for it."""

import hashlib
import os
import re
import secrets
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import numpy as np
from pydantic import TypeAdapter

from engines.positioning.follow_up import Exam, Plane, Prior
from engines.positioning.resemblance import level_at
from engines.positioning.rigid import Points, points_of
from protocols.stack import wrong_with

__all__ = ["PriorError", "keep", "pseudonym", "recall"]

KEY: Final = "key"
KEY_BYTES: Final = 32
MOST: Final = 1000  # subjects; of 120 kB each
MOST_BYTES: Final = 4 << 20  # of a file
PSEUDONYM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,95}")
PLANES: Final = TypeAdapter(dict[str, Plane])
UNREADABLE: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


class PriorError(Exception):
    """Nothing can be read from the folder of prior exams, or written to it; the message says which file and why."""


def pseudonym(folder: Path, subject: str, anatomy: str) -> str:
    """What stands for a subject in this folder: a hash with the folder's own secret, which is made with the first."""
    path = folder / KEY
    try:
        _made(folder)
        if not path.exists():
            _secret(path)
        key = path.read_bytes()
    except OSError as error:
        raise PriorError(f"{path}: {error.strerror or error}; give another folder with --priors") from None
    if len(key) != KEY_BYTES:
        raise PriorError(f"{path}: {len(key)} bytes, wanted {KEY_BYTES}; without it no file here is known: begin anew")
    return f"{hashlib.blake2b(subject.encode(), key=key, digest_size=16).hexdigest()}-{anatomy}"


def keep(folder: Path, name: str, exam: Exam) -> Path:
    """Store planes with the scout that they lie on, in place of what was stored under this pseudonym; returns the file.

    The file appears whole or not at all, for its owner alone: a scout of 4 mm still has a face. Beyond MOST files the
    one that was used longest ago is forgotten. Raises PriorError.
    """
    path = _file(folder, name)
    seen = points_of(exam.scout).thinned()
    try:
        _made(folder)
        with NamedTemporaryFile(dir=folder, prefix=".", suffix=".part", delete=False) as file:
            try:
                np.savez_compressed(
                    file,
                    places_mm=seen.places_mm.astype(np.float32),
                    values=seen.values,
                    level=level_at(exam.scout, seen.places_mm),
                    planes=np.array(PLANES.dump_json(dict(exam.planes)).decode()),
                )
                file.close()
                Path(file.name).replace(path)
            finally:
                Path(file.name).unlink(missing_ok=True)
        _forget(folder)
    except OSError as error:
        raise PriorError(f"{path}: {error.strerror or error}; give another folder with --priors") from None
    return path


def recall(folder: Path, name: str) -> Prior | None:
    """What is stored under a pseudonym; None where nothing is. Raises PriorError for a file that cannot be read."""
    path = _file(folder, name)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path.stat().st_size} bytes, at most {MOST_BYTES} were wanted")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            seen = Points(stored["places_mm"].astype(np.float64), stored["values"].astype(np.float32))
            level = stored["level"].astype(np.float32)
            planes = PLANES.validate_json(str(stored["planes"]))
        if seen.places_mm.shape != (*seen.values.shape, 3) or not np.isfinite(seen.places_mm).all():
            raise ValueError(f"places {seen.places_mm.shape} of values {seen.values.shape}")
        if level.shape != seen.values.shape:
            raise ValueError(f"level {level.shape} of values {seen.values.shape}")
        for wrong in (wrong_with(stack) for plane in planes.values() for stack in (plane.stack, plane.asked)):
            if wrong:
                raise ValueError(wrong[0])
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise PriorError(f"{path}: no prior exam can be read from it ({what})") from None
    with suppress(OSError):
        path.touch()
    return Prior(seen, level, planes)


def _made(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _secret(path: Path) -> None:
    """Make a key that no one else reads; where another server has just made one, that one stays."""
    with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        with suppress(FileExistsError):
            os.link(file.name, path)


def _forget(folder: Path) -> None:
    """Remove the files that were used longest ago, so that MOST are left."""
    files = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
    for path in files[:-MOST]:
        path.unlink(missing_ok=True)


def _file(folder: Path, name: str) -> Path:
    if not PSEUDONYM.fullmatch(name):
        raise PriorError(f"pseudonym {name!r}; wanted up to 96 letters, digits, '_' and '-'")
    return folder / f"{name}.npz"
