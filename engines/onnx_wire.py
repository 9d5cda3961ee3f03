"""Fields of protocol-buffer messages, as ONNX files are made of, read and written without any package."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

__all__ = ["Field", "encode", "fields_of", "messages", "name_of", "only", "texts"]

Field: TypeAlias = tuple[int, int | memoryview]  # number, value
_WIDTH = {1: 8, 5: 4}  # wire types of fixed width


def fields_of(view: memoryview) -> Iterator[Field]:
    """Fields of a message, in order; raises ValueError where it is cut short."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(view, at)
            yield key >> 3, value
            continue
        if wire == 2:
            length, at = _varint(view, at)
        elif wire in _WIDTH:
            length = _WIDTH[wire]
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + length > len(view):
            raise ValueError(f"{len(view) - at} bytes are left where {length} were announced")
        yield key >> 3, view[at : at + length]
        at += length


def messages(fields: Iterable[Field], number: int) -> Iterator[memoryview]:
    """Messages or texts of one number; raises TypeError for a plain number."""
    for key, value in fields:
        if key == number:
            if isinstance(value, int):
                raise TypeError("a number where a message was wanted")
            yield value


def only(fields: Iterable[Field], number: int) -> memoryview:
    """The last message of a number, which counts; raises ValueError where there is none."""
    found = list(messages(fields, number))
    if not found:
        raise ValueError(f"it holds no field {number}")
    return found[-1]


def texts(fields: Iterable[Field], number: int) -> tuple[str, ...]:
    """Texts of one number."""
    return tuple(str(text, "utf-8") for text in messages(fields, number))


def name_of(message: memoryview, number: int = 1) -> str:
    """Text of one number, empty where there is none."""
    return (texts(fields_of(message), number) or ("",))[-1]


def encode(number: int, value: int | bytes | memoryview) -> bytes:
    """One field: a number, which is not negative, or a message."""
    if isinstance(value, int):
        return bytes(_sevens(number << 3)) + bytes(_sevens(value))
    return bytes(_sevens(number << 3 | 2)) + bytes(_sevens(len(value))) + bytes(value)


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise ValueError(f"a number does not end at byte {at}")
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _sevens(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value
