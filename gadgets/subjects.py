"""Whether two scans are of the same subject: by hashes with a secret of this run, which are in no file and no log."""

from hashlib import blake2b

from gadgets.context import Context
from protocols.subject import subject_id

__all__ = ["is_of_another", "note_subject"]


def note_subject(context: Context) -> None:
    """Keep by its measurement id whom a scan is of, where its header names both."""
    subject, measurement = _subject(context), context.scan.measurement_id
    if subject and measurement:
        context.memory.subjects.put((measurement,), subject)


def is_of_another(context: Context, measurement_id: str) -> bool:
    """Whether an earlier scan was of another subject than this one; False where either is not known."""
    subject, earlier = _subject(context), context.memory.subjects.get((measurement_id,))
    return bool(subject) and earlier is not None and subject != earlier


def _subject(context: Context) -> bytes:
    """What stands for whom the header names; empty where it names nobody."""
    named = subject_id(context.xml)
    return blake2b(named.encode(), key=context.memory.secret, digest_size=16).digest() if named else b""
