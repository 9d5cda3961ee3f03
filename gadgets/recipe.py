"""From a scan protocol to a chain: the one place that knows all gadgets."""

import inspect as inspection
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError, create_model
from pydantic.config import ConfigDict

from engines.errors import ModelError
from gadgets.accumulate import accumulate
from gadgets.advice import advice
from gadgets.archive import archive
from gadgets.artefacts import artefacts
from gadgets.calibrate import calibrate
from gadgets.compress import compress
from gadgets.compress_lines import compress_lines
from gadgets.context import Context
from gadgets.enough import enough
from gadgets.finish import finish
from gadgets.inspect_raw import inspect
from gadgets.locate import locate
from gadgets.navigator import navigator
from gadgets.network import network
from gadgets.oversampling import oversampling
from gadgets.phantom import phantom
from gadgets.placed import placed, unplaced
from gadgets.prescribe import prescribe
from gadgets.quality import quality
from gadgets.raw_coils import coils
from gadgets.raw_drift import drift
from gadgets.raw_gain import gain
from gadgets.raw_mark import mark
from gadgets.raw_moved import moved
from gadgets.raw_order import order
from gadgets.raw_phase import phase
from gadgets.raw_physiology import physiology
from gadgets.raw_spikes import spikes
from gadgets.raw_symmetry import symmetry
from gadgets.raw_wrap import wrap
from gadgets.raw_zipper import zipper
from gadgets.reconstruct import reconstruct
from gadgets.remember import remember
from gadgets.whiten import whiten
from protocols.problems import Problem, ProtocolError, nearest
from protocols.scan_protocol import ScanProtocol
from protocols.stream import Node, buffered, chain

__all__ = ["NODES", "STAGES", "build", "explain", "problems"]

Gadget = Callable[..., Node]


@dataclass(frozen=True, slots=True)
class Place:
    """A gadget and the thread it works in."""

    gadget: Gadget
    stage: int  # index into STAGES


STAGES: Final = ("ingest thread", "reconstruction thread", "opinion thread")
QUEUE_DEPTH: Final = 16  # messages between ingest and reconstruction

NODES: Final[Mapping[str, Place]] = MappingProxyType(
    {
        "archive": Place(archive, 0),
        "order": Place(order, 0),
        "physiology": Place(physiology, 0),
        "inspect": Place(inspect, 0),
        "spikes": Place(spikes, 0),
        "coils": Place(coils, 0),
        "gain": Place(gain, 0),
        "zipper": Place(zipper, 0),
        "phase": Place(phase, 0),
        "wrap": Place(wrap, 0),
        "whiten": Place(whiten, 0),
        "drift": Place(drift, 0),
        "oversampling": Place(oversampling, 0),
        "compress_lines": Place(compress_lines, 0),
        "navigator": Place(navigator, 0),
        "enough": Place(enough, 0),
        "accumulate": Place(accumulate, 0),
        "moved": Place(moved, 1),
        "compress": Place(compress, 1),
        "calibrate": Place(calibrate, 1),
        "reconstruct": Place(reconstruct, 1),
        "symmetry": Place(symmetry, 1),
        "network": Place(network, 1),
        "finish": Place(finish, 1),
        "remember": Place(remember, 1),
        "placed": Place(placed, 1),
        "mark": Place(mark, 1),
        "advice": Place(advice, 1),
        "prescribe": Place(prescribe, 1),
        "locate": Place(locate, 1),
        "quality": Place(quality, 2),
        "phantom": Place(phantom, 2),
        "artefacts": Place(artefacts, 2),
    }
)
BORROWERS: Final = ("network", "artefacts", "locate")  # gadgets that need a model
NEEDED: Final = ("oversampling", "accumulate", "reconstruct", "finish")
ORDER: Final = tuple(NODES)


def build(context: Context) -> Node:
    """Make the chain that a scan protocol asks for; raises ProtocolError with everything that is wrong with it."""
    protocol = context.protocol
    wrong = problems(protocol)
    if wrong:
        raise ProtocolError(wrong)
    nodes: list[Node] = [] if "placed" in protocol.chain.order else [unplaced(context)]
    stage = 0
    for name, given in protocol.chain.nodes:
        place = NODES[name]
        if place.stage == 1 and stage == 0:
            nodes.append(buffered(QUEUE_DEPTH, "ingest", context.watch))
        stage = place.stage
        nodes.append(place.gadget(context, **_model(name).model_validate(dict(given)).model_dump()))
    return chain(*nodes)


def problems(protocol: ScanProtocol) -> list[Problem]:
    """Everything that is wrong with a protocol's chain, each with file, key, got and wanted."""
    return list(_wrong_names(protocol)) or [
        *_wrong_order(protocol),
        *_wrong_parameters(protocol),
        *_wrong_mending(protocol),
        *_wrong_networks(protocol),
    ]


def explain(protocol: ScanProtocol) -> list[str]:
    """Say what a protocol's chain will do: a line a gadget, with its thread and parameters."""
    lines = []
    for name, given in protocol.chain.nodes:
        place = NODES[name]
        defaults = {key: field.default for key, field in _model(name).model_fields.items()}
        shown = ", ".join(f"{key}={value!r}" for key, value in {**defaults, **given}.items())
        summary = (inspection.getdoc(place.gadget) or "").splitlines()[0]
        lines.append(f"{name} [{STAGES[place.stage]}] {summary}" + (f" ({shown})" if shown else ""))
    return lines


def _wrong_names(protocol: ScanProtocol) -> Iterator[Problem]:
    for name in protocol.chain.order:
        if name not in NODES:
            yield Problem(protocol.where, "chain.order", f"no gadget is called '{name}'. {nearest(name, NODES)}")


def _wrong_order(protocol: ScanProtocol) -> Iterator[Problem]:
    order = list(protocol.chain.order)
    for name in NEEDED:
        if name not in order:
            yield Problem(protocol.where, "chain.order", f"'{name}' is missing; no image is made without it")
    wanted = sorted(order, key=ORDER.index)
    if order != wanted:
        yield Problem(protocol.where, "chain.order", f"got {order}, wanted {wanted}: data flows in this order only")


def _wrong_parameters(protocol: ScanProtocol) -> Iterator[Problem]:
    for name, given in protocol.chain.nodes:
        try:
            _model(name).model_validate(dict(given))
        except ValidationError as error:
            for detail in error.errors():
                yield _problem(protocol.where, name, detail)


def _wrong_mending(protocol: ScanProtocol) -> Iterator[Problem]:
    """An image whose raw data were mended must say so."""
    given = dict(protocol.chain.nodes).get("spikes", {})
    if given.get("despike") == "interpolate" and "mark" not in protocol.chain.order:
        what = "\"interpolate\" needs 'mark' behind 'finish' in chain.order, so that the image says what was mended"
        yield Problem(protocol.where, "chain.spikes.despike", what)


def _wrong_networks(protocol: ScanProtocol) -> Iterator[Problem]:
    """What [engines] and [deadlines] must say for a network, and what they say without one."""
    models, borrowers = protocol.engines.models, [node for node in BORROWERS if node in protocol.chain.order]
    if not models and not borrowers:
        return
    from engines.model import find_model, shipped

    for node, name in models.items():
        if node not in borrowers:
            what = f"no node of this name borrows a network here. {nearest(node, borrowers)}"
            yield Problem(protocol.where, f"engines.models.{node}", what)
            continue
        try:
            find_model(name)
        except ModelError as error:
            yield Problem(protocol.where, f"engines.models.{node}", str(error))
    for node in borrowers:
        if node not in models:
            what = f"missing: '{node}' is in chain.order and needs a model. Known: {', '.join(shipped()) or 'none'}"
            yield Problem(protocol.where, f"engines.models.{node}", what)
    if "network" in borrowers and protocol.engines.emit == "network" and "network" not in protocol.deadlines:
        what = 'missing: with emit = "network" the linear image leaves when it has passed, in ms after the last readout'
        yield Problem(protocol.where, "deadlines.network", what)


def _problem(where: str, name: str, detail: Mapping[str, Any]) -> Problem:
    key = str(detail["loc"][0]) if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        return Problem(where, f"chain.{name}.{key}", f"no such parameter. {nearest(key, _model(name).model_fields)}")
    return Problem(where, f"chain.{name}.{key}", f"got {detail['input']!r}: {detail['msg'].lower()}")


def _model(name: str) -> type[Any]:
    """Read a gadget's parameters from its signature, so that they are written once."""
    signature = inspection.signature(NODES[name].gadget)
    fields: dict[str, Any] = {
        parameter.name: (parameter.annotation, parameter.default)
        for parameter in list(signature.parameters.values())[1:]
    }
    return create_model(name, __config__=ConfigDict(extra="forbid", strict=True), **fields)
