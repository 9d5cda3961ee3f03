"""Attributes of an image: a dictionary here, `ismrmrdMeta` XML on the wire."""

import re
import xml.etree.ElementTree as ET
from typing import Final

from protocols.errors import LocalError
from protocols.messages import Meta

__all__ = ["UNPARSED", "parse_meta", "write_meta"]

UNPARSED: Final = "Scanside.UnparsedAttributes"  # the key under which attributes that are no ismrmrdMeta are kept

# What XML 1.0 does not allow is removed, what it would change is escaped.
_FORBIDDEN = [n for n in (*range(0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF) if chr(n) not in "\t\n\r"]
_ESCAPE: Final[dict[int, str | None]] = dict.fromkeys(_FORBIDDEN) | {
    ord("\r"): "&#13;",
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
}
_ODD: Final = re.compile(r"[\x00-\x1f&<>\ud800-\udfff\ufffe\uffff]")


def write_meta(meta: Meta) -> bytes:
    """XML of the attributes, b"" where there are none; characters that XML cannot carry are left out.

    Raises LocalError for a value that is neither text nor a list of texts.
    """
    if not meta:
        return b""
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n<ismrmrdMeta>']
    for name, values in meta.items():
        parts.append(f"<meta><name>{_escaped(name)}</name>")
        parts.extend(_value(name, value) for value in (values if isinstance(values, list) else [values]))
        parts.append("</meta>")
    parts.append("</ismrmrdMeta>")
    return "".join(parts).encode()


def parse_meta(xml: str) -> dict[str, str | list[str]]:
    """Attributes as a dictionary; a name with several values, or named several times, has a list.

    Text that is no ismrmrdMeta is kept whole under UNPARSED.
    """
    if not xml.strip():
        return {}
    try:
        root = ET.fromstring(xml)  # noqa: S314 - expat expands no external entity and bounds internal ones
    except ET.ParseError:
        return {UNPARSED: xml}
    if _local(root.tag) != "ismrmrdMeta":
        return {UNPARSED: xml}
    found: dict[str, list[str]] = {}
    for entry in root:
        texts = [(_local(child.tag), child.text or "") for child in entry]
        name = next((text for tag, text in texts if tag == "name"), "")
        found.setdefault(name, []).extend(text for tag, text in texts if tag == "value")
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _value(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise LocalError(f"meta '{name}': got {value!r} ({type(value).__name__}), wanted text; write str({value!r})")
    return f"<value>{_escaped(value)}</value>"


def _escaped(text: str) -> str:
    return text.translate(_ESCAPE) if _ODD.search(text) else text  # to look is much faster than to translate


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
