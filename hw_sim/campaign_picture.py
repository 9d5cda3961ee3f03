"""The confusion table of a campaign as a picture."""

from collections.abc import Mapping
from io import BytesIO

import numpy as np

from hw_sim.campaign_plan import FINDS
from hw_sim.campaign_table import Share

__all__ = ["picture"]


def picture(crossed: Mapping[str, Mapping[str, Share]], title: str) -> bytes:
    """PNG: a row a fault, a column a flag, its share in percent; framed where a check is there for it."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    faults, codes = list(crossed), list(next(iter(crossed.values()), {}))
    shares = np.array([[crossed[fault][code].value for code in codes] for fault in faults]).reshape(len(faults), -1)
    figure = Figure(figsize=(3 + 0.42 * len(codes), 2.2 + 0.27 * len(faults)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(codes)), codes, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    scans = [max((share.of for share in crossed[fault].values()), default=0) for fault in faults]
    axes.set_yticks(range(len(faults)), [f"{fault} ({n})" for fault, n in zip(faults, scans, strict=True)], fontsize=8)
    for (row, column), share in np.ndenumerate(shares):
        if share:
            shade = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6.5, color=shade)
        if codes[column] in FINDS.get(faults[row], ()):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="tab:red", linewidth=1.2))
    axes.set_title(title, fontsize=9, loc="left")
    store = BytesIO()
    figure.savefig(store, format="png", dpi=100)
    return store.getvalue()
