"""report.md: what was measured and how, the figures, and where the network loses."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from trt_build.report.evaluate import Row, summary
from trt_build.report.figures import losses
from trt_build.report.methods import Method
from trt_build.report.tables import GROUPS, loss_table, main_table, quality_tables

__all__ = ["report_text"]

METHOD: Final = """Magnitudes, scale fitted by least squares in the region; peak of PSNR and range of SSIM are the
largest value of the reference in the region. Means over slices. All methods get the same whitened samples: 24
calibration lines in the middle, the others on a grid of every R-th line, or as many by chance.

Simulated: 16 loops, 256 x 256, 0.9 mm, correlated noise, brain (of Shepp-Logan: everything) at 30 times the noise of
a real part; the reference is the noise-free root sum of squares. Real: the reference is the fully sampled data, noise
included, which counts as error of every method.

Time is from the last readout on; what can be made before it is not in it: maps, inverses, opened engines.

ℓ1-wavelet (30 iterations, pics -R W:3:0:lambda) has the weight and the maps, ours or ecalib's, that are best for it: on
validation subjects for test heads, on the reported cases themselves for the other groups, which is in its favour. Its
second row has those of the validation heads in every group, as somebody would choose who does not know the answer.
Heads of test subjects are measured, not pictured: their pictures are not for publication.
"""
NOTHING: Final = "Not measured: there is no network.\n"


def report_text(
    document: Mapping[str, Any], rows: Sequence[Row], pictures: Iterable[str], methods: Sequence[Method]
) -> str:
    """Put what is in report.json, the tables and the pictures into one page of Markdown."""
    means = summary(rows)
    drawn = any(method.key == "network" and method.draw for method in methods)
    gains = [f"- {key}: {entry['value']:+.2f} dB" for key, entry in document["figures"].items()]
    outside = [f"- {case}: {why}" for case, why in document["outside"].items()]
    covered = [f"- {GROUPS[group]}: {100 * share:.1f} %" for group, share in document["coverage"].items()]
    parts = {
        "Inside the brain, PSNR dB / SSIM": main_table(rows, methods),
        "Gain over ℓ1-wavelet in PSNR": _list(gains) if drawn else NOTHING,
        "Where a peer is better": loss_table(losses(means)) if drawn else NOTHING,
        "Outside the range of the card": _list(outside) + "\nDrawn here; the chain sends the linear image.\n"
        if outside
        else "None of these cases.\n",
        "Error map: pixels in the head whose error lies under their bound; 90 % wanted": _list(covered)
        if drawn
        else NOTHING,
        "Everything": quality_tables(means, methods),
        "Pictures": "\n\n".join(f"![{picture}]({picture})" for picture in pictures) + "\n",
    }
    about = _list([f"- {key}: {_plain(value)}" for key, value in document["about"].items()])
    return "\n".join(["# What the network shows\n", about, METHOD, *(f"## {t}\n\n{text}" for t, text in parts.items())])


def _list(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
