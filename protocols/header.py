"""ISMRMRD header XML to our own `Scan`, tolerant of what real headers leave out."""

import base64
import xml.etree.ElementTree as ET
from dataclasses import MISSING, fields
from typing import Any, Final

from xsdata.exceptions import ParserError
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig

from protocols.errors import PeerError
from protocols.header_writer import write_header
from protocols.scan import Encoding, Limit, Scan
from protocols.schema import NAMESPACE, xsd

__all__ = ["HeaderError", "parse_header", "write_header"]

_ENUMERATED: Final = {
    "trajectory": {item.value for item in xsd.trajectoryType},
    "calibrationMode": {item.value for item in xsd.calibrationModeType},
}


class HeaderError(PeerError):
    """A header that cannot be read, or that lacks what no reconstruction can do without."""


def parse_header(xml: str) -> Scan:
    """Read an ISMRMRD header; what it omits is None, empty or the schema's own default, never a guess.

    Raises HeaderError with the line of malformed XML, or naming the element that is wrong or missing.
    """
    config = ParserConfig(class_factory=_lenient, fail_on_unknown_properties=False, fail_on_converter_warnings=True)
    try:
        header = XmlParser(config=config).from_bytes(ET.tostring(_regular(xml)), xsd.ismrmrdHeader)
    except (ParserError, TypeError, ValueError) as error:
        raise HeaderError(f"header: {' '.join(str(error).split())}") from error
    if not header.encoding:
        raise HeaderError("header: no <encoding>; at least one with matrix and field of view was wanted")
    return _scan(header)


def _regular(xml: str) -> ET.Element:
    """The document with the namespace and the lower-case words of the schema, which not every writer keeps to."""
    try:
        root = ET.fromstring(xml)  # noqa: S314 - expat expands no external entity and bounds internal ones
    except (ET.ParseError, ValueError) as error:
        raise HeaderError(f"header: not XML, {error}; it begins {xml[:40]!r}") from None
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        element.tag = f"{{{NAMESPACE}}}{tag}"
        if tag in _ENUMERATED:
            word = (element.text or "").strip().lower()
            element.text = word if word in _ENUMERATED[tag] else "other"
    if not root.tag.endswith("}ismrmrdHeader"):
        raise HeaderError(f"header: root element <{root.tag.rpartition('}')[2]}>; <ismrmrdHeader> was wanted")
    return root


def _lenient(kind: type, given: dict[str, Any]) -> Any:
    """Make a schema value, with None for required parts that are absent."""
    absent = {
        part.name: None
        for part in fields(kind)
        if part.name not in given and part.default is MISSING and part.default_factory is MISSING
    }
    return kind(**given, **absent)


def _scan(header: Any) -> Scan:
    measured = header.measurementInformation
    system = header.acquisitionSystemInformation
    sequence = header.sequenceParameters
    resonance = getattr(header.experimentalConditions, "H1resonanceFrequency_Hz", None)
    return Scan(
        encodings=tuple(_encoding(n, encoding) for n, encoding in enumerate(header.encoding)),
        coils=getattr(system, "receiverChannels", None) or None,
        coil_labels=_coil_labels(system),
        measurement_id=_text(measured, "measurementID"),
        protocol_name=_text(measured, "protocolName"),
        patient_position=getattr(getattr(measured, "patientPosition", None), "value", ""),
        dependencies={d.dependencyType: d.measurementID for d in getattr(measured, "measurementDependency", ())},
        field_strength_t=getattr(system, "systemFieldStrength_T", None),
        resonance_hz=float(resonance) if resonance else None,
        relative_noise_bandwidth=getattr(system, "relativeReceiverNoiseBandwidth", None),
        system_vendor=_text(system, "systemVendor"),
        system_model=_text(system, "systemModel"),
        sequence_type=_text(sequence, "sequence_type"),
        tr_ms=tuple(getattr(sequence, "TR", ())),
        te_ms=tuple(getattr(sequence, "TE", ())),
        ti_ms=tuple(getattr(sequence, "TI", ())),
        flip_angle_deg=tuple(getattr(sequence, "flipAngle_deg", ())),
        parameters=_parameters(header.userParameters),
    )


def _text(section: Any, name: str) -> str:
    return getattr(section, name, None) or ""


def _coil_labels(system: Any) -> tuple[str, ...]:
    labels = getattr(system, "coilLabel", ())
    return tuple(label.coilName or "" for label in sorted(labels, key=lambda label: label.coilNumber or 0))


def _parameters(user: Any) -> dict[str, str | int | float]:
    if user is None:
        return {}
    plain = [*user.userParameterLong, *user.userParameterDouble, *user.userParameterString]
    coded = {p.name: base64.b64encode(p.value or b"").decode() for p in user.userParameterBase64}
    return {p.name: "" if p.value is None else p.value for p in plain} | coded


def _encoding(number: int, encoding: Any) -> Encoding:
    where = f"header: encoding {number}"
    if encoding.trajectory is None:
        raise HeaderError(f"{where}: no <trajectory>; one of {', '.join(_ENUMERATED['trajectory'])} was wanted")
    parallel = encoding.parallelImaging
    factor = getattr(parallel, "accelerationFactor", None)
    mode = getattr(parallel, "calibrationMode", None)
    limits = encoding.encodingLimits
    given = {} if limits is None else {part.name: getattr(limits, part.name) for part in fields(limits)}
    return Encoding(
        encoding.trajectory.value,
        _matrix(where, encoding, "encodedSpace"),
        _fov_mm(where, encoding, "encodedSpace"),
        _matrix(where, encoding, "reconSpace"),
        _fov_mm(where, encoding, "reconSpace"),
        {name: Limit(limit.minimum, limit.maximum, limit.center) for name, limit in given.items() if limit is not None},
        (1, 1) if factor is None else (factor.kspace_encoding_step_1, factor.kspace_encoding_step_2),
        "" if mode is None else mode.value,
    )


def _triple(where: str, encoding: Any, space: str, name: str) -> tuple[Any, Any, Any]:
    found = getattr(getattr(encoding, space), name, None)
    values = tuple(getattr(found, axis, None) for axis in "xyz")
    if not all(isinstance(value, int | float) and value > 0 for value in values):
        raise HeaderError(f"{where}: {space}/{name} is {' x '.join(map(str, values))}; three numbers > 0 were wanted")
    return values[0], values[1], values[2]


def _matrix(where: str, encoding: Any, space: str) -> tuple[int, int, int]:
    return _triple(where, encoding, space, "matrixSize")


def _fov_mm(where: str, encoding: Any, space: str) -> tuple[float, float, float]:
    return _triple(where, encoding, space, "fieldOfView_mm")
