"""Pictures of one case: reference, what each method makes of it, five times its error, and the error map."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.linear.maps import bounding_box
from trt_build.report.cases import Case
from trt_build.report.methods import NAMES, Drawn
from trt_build.report.metrics import fitted, quality

__all__ = ["SHOWN", "draw_panel"]

SHOWN: Final = ("linear", "l1_wavelet", "unet", "varnet", "network")
ERROR_GAIN: Final = 5
MARGIN: Final = 6  # pixels around the head


def draw_panel(case: Case, drawn: Mapping[str, Drawn | None], path: Path) -> None:
    """Save one picture: a column for each method, its image above five times its error; untrained ones are named."""
    from matplotlib.figure import Figure

    shown = {key: made for key in SHOWN if (made := drawn.get(key)) is not None}
    absent = ", ".join(NAMES[key] for key in SHOWN if key not in shown)
    rows, columns = (_wider(side) for side in bounding_box(case.head))
    top = float(np.percentile(case.reference[case.brain], 99.8)) * 1.2
    grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": top}
    figure = Figure(figsize=(2.1 * (len(shown) + 1), 5.4), dpi=110, layout="constrained")
    axes = figure.subplots(2, len(shown) + 1)
    title = f"{case.name}, R = {case.acceleration}, {case.pattern}; below: error x {ERROR_GAIN}"
    figure.suptitle(title + (f"\nnot trained: {absent}" if absent else ""), fontsize=9)
    axes[0, 0].imshow(case.reference[rows, columns], **grey)
    axes[0, 0].set_title("reference", fontsize=8)
    for (key, made), (upper, lower) in zip(shown.items(), axes[:, 1:].T, strict=True):
        image = fitted(made.image, case.reference, case.head)
        figures = quality(made.image, case.reference, case.brain)
        upper.imshow(image[rows, columns], **grey)
        upper.set_title(NAMES[key], fontsize=8)
        lower.imshow(ERROR_GAIN * np.abs(image - case.reference)[rows, columns], **grey)
        lower.set_title(f"brain {figures.psnr_db:.1f} dB, {figures.ssim:.3f}", fontsize=8)
    _error_map(axes[1, 0], shown.get("network"), rows, columns)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(path)


def _error_map(axis: Any, made: Drawn | None, rows: slice, columns: slice) -> None:
    error: NDArray[np.float32] | None = None if made is None else made.error
    if error is None:
        return
    shown = axis.imshow(error[rows, columns], cmap="magma", vmin=0, vmax=float(np.percentile(error, 99.5)) or 1.0)
    axis.set_title("network's error map, sigma", fontsize=8)
    axis.figure.colorbar(shown, ax=axis, shrink=0.6).ax.tick_params(labelsize=6)


def _wider(side: slice) -> slice:
    return slice(max(0, side.start - MARGIN), side.stop + MARGIN)
