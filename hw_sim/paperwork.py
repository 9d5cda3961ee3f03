"""The header of a simulated scan and the headers of its readouts."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_sim.devices import HOME, Table
from hw_sim.planes import Plane
from hw_sim.sequencer import Kind, Lines
from protocols.mrd import ACQUISITION
from protocols.scan import Encoding, Limit, Scan
from protocols.simulate import Simulate

__all__ = ["TICK_NS", "Order", "first_line", "headers", "named", "scan_of"]

TICK_NS: Final = 2_500_000  # the scanner's clock counts 2.5 ms
MIDNIGHT_TICKS: Final = 14_400_000  # the exam begins at ten in the morning


@dataclass(frozen=True, slots=True)
class Order:
    """Who is measured, under which name and number."""

    protocol: str
    measurement: int = 1
    patient_position: str = "HFS"
    begins_ns: int = 0
    only: tuple[int, ...] = ()  # slices to acquire; none: all of them
    table: Table = HOME


def named(xml: str, subject: str) -> str:
    """A header that names the subject as its patientID, in front of all else as the schema has it; "" names nobody."""
    if not subject:
        return xml
    root = ET.fromstring(xml)  # noqa: S314 - it was written here
    space = root.tag.rpartition("}")[0] + "}"
    who = ET.Element(f"{space}subjectInformation")
    ET.SubElement(who, f"{space}patientID").text = subject
    root.insert(0, who)
    ET.register_namespace("", space[1:-1])
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def first_line(lines: Lines) -> int:
    """Row of the phase-encode matrix that bears number 0: a scanner counts from the first line it acquires."""
    return int(lines.imaging.min())


def scan_of(simulate: Simulate, lines: Lines, slices: int, labels: tuple[str, ...], order: Order) -> Scan:
    """Describe the scan as the console would."""
    (nx, ny), (fov_x, fov_y) = simulate.matrix, simulate.fov_mm
    first = first_line(lines)
    nz, fov_z = simulate.partitions, simulate.partitions * simulate.thickness_mm
    limits = {
        "kspace_encoding_step_1": Limit(0, int(lines.imaging.max()) - first, ny // 2 - first),
        "kspace_encoding_step_2": Limit(0, nz - 1, nz // 2),
        "slice": Limit(0, slices - 1, 0),
        "average": Limit(0, simulate.averages - 1, 0),
        "repetition": Limit(0, simulate.repetitions - 1, 0),
    }
    limits |= {name: Limit(0, 0, 0) for name in ("contrast", "phase", "set", "segment")}
    encoding = Encoding(
        trajectory="cartesian",
        encoded_matrix=(nx * simulate.oversampling, ny, nz),
        encoded_fov_mm=(fov_x * simulate.oversampling, fov_y, fov_z),
        recon_matrix=(nx, ny, nz),
        recon_fov_mm=(fov_x, fov_y, fov_z),
        limits=limits,
        acceleration=(simulate.acceleration, 1),
        calibration_mode=simulate.calibration if simulate.calibration != "none" else "",
    )
    return Scan(
        encodings=(encoding,),
        coils=len(labels),
        coil_labels=labels,
        measurement_id=f"simulated_{order.measurement}",
        protocol_name=order.protocol,
        patient_position=order.patient_position,
        field_strength_t=2.89,
        resonance_hz=123_250_000.0,
        relative_noise_bandwidth=1.0,
        system_vendor="Scanside",
        system_model="hw_sim",
        sequence_type={"gre": "Flash", "se": "SpinEcho"}[simulate.sequence],
        tr_ms=(simulate.repetition_ms or simulate.tr_ms * (slices if simulate.interleaved else 1),),
        te_ms=(simulate.te_ms,),
        flip_angle_deg=(simulate.flip_deg,),
    )


def headers(
    plan: NDArray[np.void], simulate: Simulate, planes: tuple[Plane, ...], coils: int, first: int, order: Order
) -> NDArray[np.void]:
    """Acquisition headers (readout,) of mrd.ACQUISITION for a plan."""
    heads = np.zeros(len(plan), ACQUISITION)
    _write_counters(heads, plan, first)
    _write_times(heads, simulate, order)
    samples = simulate.matrix[0] * simulate.oversampling
    lost = samples - round(samples * simulate.echo_fraction)
    heads["version"] = 1
    heads["flags"] = plan["flags"]
    heads["measurement_uid"] = order.measurement
    heads["scan_counter"] = np.arange(1, len(plan) + 1)
    heads["number_of_samples"] = samples - lost
    heads["center_sample"] = samples // 2 - lost
    heads["available_channels"] = heads["active_channels"] = coils
    heads["channel_mask"] = np.array([_mask(coils, word) for word in range(16)], np.uint64)
    heads["sample_time_us"] = 1e6 / (simulate.bandwidth_hz_per_pixel * samples)
    heads["patient_table_position"][:, 2] = order.table.position_mm
    imaging = plan["kind"] != Kind.NOISE
    for name, attribute in (("position", "centre_mm"), ("read_dir",) * 2, ("phase_dir",) * 2, ("slice_dir",) * 2):
        values = np.array([getattr(plane, attribute) for plane in planes], np.float32)
        heads[name] = np.where(imaging[:, None], values[plan["slice"]], values[0])
    return heads


def _mask(coils: int, word: int) -> int:
    """Channels present among the 64 of one word of the channel mask."""
    return (1 << min(max(coils - 64 * word, 0), 64)) - 1


def _write_counters(heads: NDArray[np.void], plan: NDArray[np.void], first: int) -> None:
    counters = heads["idx"]
    counters["kspace_encode_step_1"] = np.where(plan["kind"] == Kind.NOISE, 0, plan["line"] - first)
    counters["kspace_encode_step_2"] = plan["partition"]
    for name in ("slice", "average", "repetition"):
        counters[name] = plan[name]


def _write_times(heads: NDArray[np.void], simulate: Simulate, order: Order) -> None:
    times_ns = order.begins_ns + np.arange(len(heads)) * round(simulate.tr_ms * 1e6)
    heads["acquisition_time_stamp"] = MIDNIGHT_TICKS + times_ns // TICK_NS
