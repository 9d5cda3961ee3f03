"""What `scanside check` says of a scan protocol."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engines.errors import ModelError
from gadgets.recipe import explain, problems
from protocols.problems import Problem, ProtocolError
from protocols.scan_protocol import ScanProtocol, find, load

__all__ = ["examine"]

# What a gadget borrows a model for.
TASKS: Final = {"network": "unrolled", "artefacts": "artefacts", "locate": "landmarks"}


def examine(
    what: str, folders: tuple[Path, ...] = (), *, allow_unsigned: bool = False
) -> tuple[list[str], list[Problem]]:
    """Explain the scan protocol of that file or name, line by line, and list what is wrong with it."""
    try:
        is_file = what.endswith(".toml") or Path(what).is_file()
        protocol = load(Path(what)) if is_file else find(what, folders)
    except ProtocolError as error:
        return [], list(error.problems)
    expired = [
        Problem(
            protocol.where, f"limits.{key}", f"expired on {limit.valid_until}; it judges UNKNOWN. Renew valid_until"
        )
        for key, limit in protocol.limits.items()
        if limit.expired()
    ]
    wrong = [*(problems(protocol) or _unusable(protocol, allow_unsigned=allow_unsigned)), *expired]
    return ([] if wrong else list(_explained(protocol))), wrong


def _explained(protocol: ScanProtocol) -> Iterator[str]:
    yield f"{protocol.name}: {protocol.title}"
    yield f"  file      {protocol.where} ({protocol.short_hash})"
    yield f"  for       {protocol.match or 'no header: chosen by name only'}"
    for number, line in enumerate(explain(protocol), 1):
        yield f"  {'chain   ' if number == 1 else '        '}  {number:2}. {line}"
    for number, (key, limit) in enumerate(protocol.limits.items()):
        yield f"  {'limits  ' if number == 0 else '        '}  {key} {limit}"
    if protocol.deadlines:
        yield "  deadlines " + ", ".join(f"{stage} {ms:g} ms" for stage, ms in protocol.deadlines.items())
    for node, model in protocol.engines.models.items():
        engines = protocol.engines
        does = f"emits {engines.emit} (unusable: {engines.on_unusable})" if node == "network" else f"for '{node}'"
        yield f"  network   {model} on {' or '.join(engines.backends)}, {does}"
    if protocol.simulate is not None:
        yield f"  simulated by: scanside-sim scan {protocol.name}"


def _unusable(protocol: ScanProtocol, *, allow_unsigned: bool) -> list[Problem]:
    """What is wrong with the model folders themselves: damaged, altered, unsigned."""
    from engines.model import load_model

    wrong = []
    for node, name in protocol.engines.models.items():
        try:
            task = load_model(name, allow_unsigned=allow_unsigned).card.task
        except ModelError as error:
            wrong.append(Problem(protocol.where, f"engines.models.{node}", str(error)))
            continue
        if task != TASKS[node]:
            what = f"{name} is a model for the task {task!r}, wanted {TASKS[node]!r}"
            wrong.append(Problem(protocol.where, f"engines.models.{node}", what))
    return wrong
