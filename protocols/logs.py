"""The log: one place that sets it up; readable lines to the terminal, JSON lines to a file."""

import atexit
import json
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final

import structlog

__all__ = ["configure"]

# Who the patient is has no business in a log: entries under these keys are blanked wherever they come from.
PERSONAL: Final = frozenset({"patient", "patientname", "patientid", "patientbirthdate", "birthdate", "subject"})


class _Both:
    """Write readable lines to the terminal and, where asked for, JSON lines to a file."""

    def __init__(self, path: Path | None) -> None:
        self._terminal = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        self._file = None if path is None else path.open("a", encoding="utf-8", buffering=1)

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        if self._file is not None:
            self._file.write(json.dumps(dict(event), default=str) + "\n")
        return str(self._terminal(logger, method, event))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


_outputs: list[_Both] = []


@atexit.register
def _close() -> None:
    while _outputs:
        _outputs.pop().close()


def _anonymous(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    for key in event:
        if key.lower().replace("_", "") in PERSONAL:
            event[key] = "(not logged)"
    return event


def configure(log_file: Path | None = None, level: str = "info") -> None:
    """Send the log to stderr, and as JSON lines to `log_file`; call again to change where it goes.

    Raises OSError where the file cannot be opened, before anything has changed.
    """
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
    outputs = _Both(log_file)
    _close()
    _outputs.append(outputs)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _anonymous,
            outputs,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
