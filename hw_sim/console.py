"""What the console keeps of a scan: pictures, ISMRMRD HDF5, flags and the timeline."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np

from hw_sim.collect import Result, timeline
from hw_sim.faults import Truth
from hw_sim.montage import montage
from protocols.encode import encode
from protocols.events import Flag, Severity
from protocols.messages import Image
from protocols.mrd import FRAME_COUNTERS

__all__ = ["Latency", "keep", "latency", "latency_plot", "write_flags", "write_images"]

WORST: Final = (Severity.FAIL, Severity.WARN, Severity.UNKNOWN, Severity.PASS)


@dataclass(frozen=True, slots=True)
class Latency:
    """Last readout sent to image received, over the frames of a scan."""

    images: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


def latency(result: Result) -> Latency | None:
    """Sum up a timeline; None where no image came."""
    values = [row.latency_ms for row in timeline(result) if row.latency_ms is not None]
    if not values:
        return None
    p50_ms, p99_ms = np.percentile(values, [50, 99])
    return Latency(len(values), float(p50_ms), float(p99_ms), max(values))


def write_images(path: Path, images: Sequence[Image]) -> None:
    """Write images to an ISMRMRD HDF5 file, one group a series, named image_1, image_2 and so on."""
    import ismrmrd

    path.unlink(missing_ok=True)
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    try:
        for image in images:
            stream = BytesIO(b"".join(bytes(part) for part in encode(image))[2:])
            name = f"image_{int(image.header['image_series_index'])}"
            dataset.append_image(name, ismrmrd.Image.deserialize_from(stream.read))
    finally:
        dataset.close()


def write_flags(path: Path, flags: Sequence[Flag]) -> None:
    """Write flags as JSON, the worst first."""
    ordered = sorted(flags, key=lambda flag: (WORST.index(flag.severity), flag.time_s))
    path.write_text(json.dumps([flag.model_dump(mode="json") for flag in ordered], indent=2) + "\n", encoding="utf-8")


def _write_timeline(path: Path, result: Result) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*FRAME_COUNTERS, "last_readout_sent_s", "image_received_s", "latency_ms"])
        for row in timeline(result):
            received = "" if row.received_s is None else f"{row.received_s:.6f}"
            late = "" if row.latency_ms is None else f"{row.latency_ms:.3f}"
            table.writerow([*row.key, f"{row.sent_s:.6f}", received, late])


def keep(result: Result, folder: Path, truths: Sequence[Truth] = ()) -> None:
    """Write all that a scan brought: montage.png, images.h5, flags.json, timeline.csv, messages.txt.

    What was made to go wrong stands in truth.json, a list that is empty for a scan without faults.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = [arrived.image for arrived in result.images]
    if images:
        (folder / "montage.png").write_bytes(montage(images))
        write_images(folder / "images.h5", images)
    write_flags(folder / "flags.json", result.flags)
    told = json.dumps([truth.as_json() for truth in truths], indent=2, ensure_ascii=False)
    (folder / "truth.json").write_text(told + "\n", encoding="utf-8")
    _write_timeline(folder / "timeline.csv", result)
    (folder / "messages.txt").write_text("".join(f"{line}\n" for line in [*result.texts, *result.errors]), "utf-8")


def latency_plot(results: Sequence[tuple[str, Result]]) -> bytes:
    """PNG of the latency of every image, one colour a scan."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.add_subplot()
    begin = 1
    for name, result in results:
        values = [row.latency_ms for row in timeline(result) if row.latency_ms is not None]
        axes.plot(range(begin, begin + len(values)), values, "o-", markersize=4, linewidth=0.8, label=name)
        begin += len(values)
    axes.set(xlabel="image", ylabel="ms", title="Last readout sent → image received")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    store = BytesIO()
    figure.savefig(store, format="png", dpi=110)
    return store.getvalue()
