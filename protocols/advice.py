"""`ScansideAdvice`, MRD 1028: what a scanner may do about a scan that is still running.

Little-endian, fixed widths, no padding. Version 1, byte for byte:

| byte | type | what |
|---|---|---|
| 0 | u16 | version, 1; a reader refuses any other |
| 2 | u8 | 0 stop: what was wanted is reached; 1 reacquire; 2 abort: what follows would be in vain |
| 3 | u8 | 0 |
| 4 | u32 | number of frames to acquire again, n |
| 8 | f64 | Unix time when it was said, s |
| 16 | n frames | u32 each: slice, contrast, repetition, number m of encode steps (0: all); m × u32 encode steps |
| behind | 3 texts | u32 length and UTF-8 each: scan protocol, reason, codes of the flags it rests on (one a line) |

It is advice: a scanner obeys if its operator wants it to. The last one of a scan holds all frames to acquire again.
"""

import struct
from typing import Any, Final

from pydantic import ValidationError

from protocols.errors import PeerError
from protocols.events import Advice

__all__ = ["NAME", "decode", "encode"]

NAME: Final = "ScansideAdvice"
VERSION: Final = 1
_ACTIONS: Final = ("stop", "reacquire", "abort")
_HEAD: Final = struct.Struct("<HBBId")
_FRAME: Final = struct.Struct("<4I")
_LENGTH: Final = struct.Struct("<I")


def encode(advice: Advice) -> bytes:
    """Bytes of an advice; the connection that it belongs to is not among them."""
    parts = [_HEAD.pack(VERSION, _ACTIONS.index(advice.action), 0, len(advice.again), advice.time_s)]
    for frame in advice.again:
        parts.append(_FRAME.pack(frame.slice, frame.contrast, frame.repetition, len(frame.steps)))
        parts.append(struct.pack(f"<{len(frame.steps)}I", *frame.steps))
    for text in (advice.protocol, advice.reason, "\n".join(advice.because)):
        octets = text.encode("utf-8", "replace")
        parts += [_LENGTH.pack(len(octets)), octets]
    return b"".join(parts)


def decode(data: bytes) -> Advice:
    """Read what `encode` wrote; raises PeerError for anything else, saying what came and what was wanted."""
    try:
        return _decoded(data)
    except struct.error:
        raise PeerError(f"{NAME}: it ends too early, {len(data)} bytes") from None
    except UnicodeDecodeError:
        raise PeerError(f"{NAME}: a text is not UTF-8") from None
    except ValidationError as error:
        raise PeerError(f"{NAME}: {error.errors()[0]['msg']}") from None


def _decoded(data: bytes) -> Advice:
    version, action, _, count, time_s = _HEAD.unpack_from(data)
    if version != VERSION:
        raise PeerError(f"{NAME}: version {version}, wanted {VERSION}")
    if action >= len(_ACTIONS):
        raise PeerError(f"{NAME}: action {action}, wanted 0 to {len(_ACTIONS) - 1}")
    at, again, texts = _HEAD.size, list[dict[str, Any]](), list[str]()
    for _ in range(count):
        slice_, contrast, repetition, many = _FRAME.unpack_from(data, at)
        at += _FRAME.size
        steps = struct.unpack_from(f"<{many}I", data, at)
        at += 4 * many
        again.append({"slice": slice_, "contrast": contrast, "repetition": repetition, "steps": steps})
    for _ in range(3):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size + length
        if at > len(data):
            raise PeerError(f"{NAME}: it ends within a text, {len(data)} bytes")
        texts.append(data[at - length : at].decode())
    if at != len(data):
        raise PeerError(f"{NAME}: {len(data) - at} bytes behind its end")
    said = {"protocol": texts[0], "reason": texts[1], "because": tuple(texts[2].split("\n")) if texts[2] else ()}
    return Advice.model_validate({"action": _ACTIONS[action], "again": tuple(again), "time_s": time_s, **said})
