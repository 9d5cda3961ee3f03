"""Which scan protocol a connection gets: by name, by text, or by its header; never another one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from gadgets.recipe import problems
from protocols import scan_protocol
from protocols.errors import PeerError
from protocols.problems import Problem, ProtocolError
from protocols.scan import Scan
from protocols.tables import ScanProtocol

__all__ = ["Choice"]

BY_HEADER: Final = frozenset({"", "auto", "default", "scanside"})  # config names that leave the choice to the header


@dataclass(frozen=True, slots=True)
class Choice:
    """All scan protocols a server knows, read and checked once; a site's folders stand before the shipped ones."""

    known: tuple[ScanProtocol, ...]

    @classmethod
    def of(cls, folders: Sequence[Path] = ()) -> "Choice":
        """Read and check every scan protocol now, so that a mistake is seen at start and not at the scanner."""
        return cls(tuple(_checked(protocol) for protocol in scan_protocol.load_all(folders)))

    def by_config(self, config: str, *, is_name: bool) -> ScanProtocol | None:
        """Take a config's word for it; None where it leaves the choice to the header.

        A name is that of a scan protocol. A text is a whole scan protocol in TOML, or the `<configuration>` of a
        Gadgetron module, which may hold `<protocol>NAME</protocol>`. Raises ProtocolError or PeerError otherwise.
        """
        text = config.strip()
        if text.startswith("<"):
            text, is_name = _named_in_xml(text), True
        if not is_name and text not in BY_HEADER:
            return _checked(scan_protocol.parse(config, "CONFIG_TEXT"))
        name = text.removesuffix(".toml").removesuffix(".xml")
        if name in BY_HEADER:
            return None
        for protocol in self.known:
            if protocol.name == name:
                return protocol
        return scan_protocol.find(name)  # raises, and knows the nearest names

    def for_scan(self, scan: Scan, protocol: ScanProtocol | None) -> ScanProtocol:
        """The protocol that was asked for, if it can do this scan at all, or the one that the header fits.

        Raises ProtocolError where the trajectory or matrix is none that its chain can reconstruct.
        """
        if protocol is None:
            return self.by_header(scan)
        refusals = [] if protocol.match is None else protocol.match.refusals(scan, by_name=True)
        if refusals:
            raise ProtocolError([Problem("header", protocol.name, f"not supported yet: {'; '.join(refusals)}")])
        return protocol

    def by_header(self, scan: Scan) -> ScanProtocol:
        """Take the scan protocol whose [match] fits; raises ProtocolError where none or two fit alike."""
        return scan_protocol.select(scan, self.known)


def _named_in_xml(text: str) -> str:
    try:
        root = ET.fromstring(text)  # noqa: S314 - expat expands no external entities; the text is bounded
    except ET.ParseError as error:
        if "no element found" in str(error):  # Gadgetron sends a bare XML declaration where it has nothing to say
            return ""
        raise PeerError(f"CONFIG_TEXT: malformed XML: {error}; send a scan protocol's name or its TOML") from error
    if root.tag != "configuration" or root.find("stream") is not None:
        raise PeerError(
            f"CONFIG_TEXT: got a <{root.tag}> chain of gadgets, wanted the name of a scan protocol or its TOML"
        )
    return (root.findtext("protocol") or "").strip()


def _checked(protocol: ScanProtocol) -> ScanProtocol:
    wrong = problems(protocol)
    if wrong:
        raise ProtocolError(wrong)
    return protocol
