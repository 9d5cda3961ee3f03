"""drift: the noise of this scan's coils against that of earlier scans: of each, of all, and which is alike to which."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engines.quality.exchange import exchange, likeness
from engines.quality.levels import change, noise_db
from gadgets.context import Context
from gadgets.raw_verdict import label, verdict
from protocols.events import Flag, Severity
from protocols.messages import Message, NoiseScan
from protocols.stream import Node

__all__ = ["drift"]

LEAST_SCANS = 3  # before one is judged: the median of fewer would take a faulty one for normal
MOST_SCANS = 16  # that are remembered of one array


def drift(context: Context) -> Node:
    """Compare this scan's noise readouts with those of earlier scans that this server has seen of the same coils.

    `noise_drift`: a coil whose noise left that of the array, in dB; the receiver gain, which all coils share, cancels.
    `noise_level`: the noise of the whole array, against scans of the same scan protocol, matrix and dwell time only,
    since gain follows what is measured; its score is how much further it lies than those scattered. Dwell times are
    corrected for. `swapped_coils`: the share of what has changed in which coils' noise is alike that goes when two of
    them are exchanged; it can be told where coils have noise in common, as the loops of an array do. Fewer than three
    earlier scans are UNKNOWN; noise that was kept from another scan was judged there.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        judged = False
        for message in messages:
            yield message
            if not judged and isinstance(message, NoiseScan) and message.source == "this scan" and message.dwell_us > 0:
                judged = True
                yield from _judged(message, context)

    return node


def _judged(noise: NoiseScan, context: Context) -> Iterator[Flag]:
    level = noise_db(noise.covariance, noise.dwell_us)
    array = (len(level), context.scan.coil_labels, context.scan.field_strength_t)
    alike = (*array, context.scan.protocol_name, context.scan.encodings[0].encoded_matrix, round(noise.dwell_us, 3))
    yield _of_coil(level, _remembered(context, ("coils", *array), level), context)
    yield _of_array(level, _remembered(context, ("array", *alike), level), context)
    now = likeness(noise.covariance)
    yield _of_places(now, _remembered(context, ("places", *array), now), noise.samples, context)


def _remembered(context: Context, key: tuple[object, ...], now: NDArray[np.float64]) -> NDArray[np.float64]:
    """Remember a figure of every coil or pair, and give those (scan, …) that were there before."""
    earlier = context.memory.levels.get(key)
    earlier = np.zeros((0, *now.shape)) if earlier is None else earlier
    context.memory.levels.put(key, np.concatenate([earlier, now[None]])[-MOST_SCANS:])
    return earlier


def _of_coil(level: NDArray[np.float64], earlier: NDArray[np.float64], context: Context) -> Flag:
    if len(earlier) < LEAST_SCANS:
        return _too_early(context, "noise_drift", len(earlier), "of these coils")
    moved = change(level, earlier).coil
    coil = int(np.argmax(np.abs(moved)))
    name, by = label(context, coil), float(moved[coil])
    text = (
        f"noise of {name} has changed by {by:+.1f} dB against {len(earlier)} earlier scans, more than any other coil's"
    )
    where: dict[str, object] = {"coil": coil, "label": name, "change_db": round(by, 2), "scans": len(earlier)}
    advice = f"check plug and cable of {name}, and what lies near it"
    return verdict(context, "noise_drift", abs(by), text, "dB", evidence=where, advice=advice)


def _of_array(level: NDArray[np.float64], earlier: NDArray[np.float64], context: Context) -> Flag:
    if len(earlier) < LEAST_SCANS:
        return _too_early(context, "noise_level", len(earlier), "with these coils and this scan protocol")
    found = change(level, earlier)
    text = (
        f"noise of the array has changed by {found.common:+.1f} dB against {len(earlier)} earlier scans of this scan "
        f"protocol, which scattered by {found.scatter:.1f} dB"
    )
    where: dict[str, object] = {
        "change_db": round(found.common, 2), "scatter_db": round(found.scatter, 2), "scans": len(earlier)
    }  # fmt: skip
    advice = "close the door of the scanner room, take out what has a cable, and repeat the prescan"
    return verdict(context, "noise_level", found.beyond, text, "dB", evidence=where, advice=advice)


def _of_places(now: NDArray[np.float64], earlier: NDArray[np.float64], samples: int, context: Context) -> Flag:
    if len(earlier) < LEAST_SCANS:
        return _too_early(context, "swapped_coils", len(earlier), "of these coils")
    found = exchange(now, np.median(earlier, axis=0), samples)
    if found is None:
        text = "the coils share too little noise to tell whether two of them were exchanged"
        return context.flag("swapped_coils", Severity.UNKNOWN, text)
    names = [label(context, coil) for coil in (found.first, found.second)]
    text = (
        f"exchanging {names[0]} and {names[1]} explains {found.explained:.0%} of what has changed in how alike the "
        f"coils' noise is, against {len(earlier)} earlier scans"
    )
    where: dict[str, object] = {"coils": [found.first, found.second], "label": ", ".join(names)}
    advice = f"check the plugs of {names[0]} and {names[1]}: they seem to have been exchanged"
    return verdict(context, "swapped_coils", found.explained, text, "1", evidence=where, advice=advice)


def _too_early(context: Context, code: str, count: int, of: str) -> Flag:
    text = f"this server has seen {count} earlier noise scans {of}, wanted {LEAST_SCANS} or more to compare with"
    return context.flag(code, Severity.UNKNOWN, text)
