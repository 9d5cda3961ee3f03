"""History as a picture: figures over time."""

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gadgets.history.record import Past
from gadgets.history.show import grouped
from gadgets.history.store import AlarmRow

__all__ = ["picture"]

MOST: Final = 12  # axes of one picture


def picture(pasts: Sequence[Past], codes: Sequence[str], found: Sequence[AlarmRow]) -> bytes:
    """PNG, one axis a code: every scan's median, the limit it was judged by, flagged scans, and drift alarms."""
    from matplotlib.figure import Figure

    shown = list(codes)[:MOST]
    figure = Figure(figsize=(9, 1 + 2.2 * len(shown)), layout="constrained")
    for number, code in enumerate(shown, 1):
        axes: Any = figure.add_subplot(len(shown), 1, number)
        chosen = [past for past in pasts if past.scores.get(code)]
        _draw(axes, chosen, code)
        for alarm in found:
            if alarm.figure == code:
                axes.axvline(_times([alarm.since_s])[0], color="tab:red", linewidth=1, label="drift since")
        unit = chosen[-1].units.get(code, "") if chosen else ""
        axes.set(title=code if unit in ("", "1") else f"{code} ({unit})")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize="x-small")
    store = BytesIO()
    figure.savefig(store, format="png", dpi=110)
    return store.getvalue()


def _draw(axes: Any, chosen: Sequence[Past], code: str) -> None:
    for (protocol, scanner), group in grouped(chosen).items():
        name = ", ".join(part for part in (protocol, scanner) if part)
        axes.plot(_when(group), _medians(group, code), ".-", linewidth=0.6, markersize=3, label=name)
    broken = [past for past in chosen if code in past.broken]
    if broken:
        axes.plot(_when(broken), _medians(broken, code), "rx", label="flagged")
    limited = [past for past in chosen if code in past.bounds]
    if limited:
        axes.plot(_when(limited), [past.bounds[code] for past in limited], "k--", linewidth=0.8, label="limit")


def _medians(pasts: Sequence[Past], code: str) -> list[float]:
    return [median(past.scores[code]) for past in pasts]


def _when(pasts: Sequence[Past]) -> NDArray[np.datetime64]:
    return _times([past.time_s for past in pasts])


def _times(times_s: Sequence[float]) -> NDArray[np.datetime64]:
    """Local time, as tables have it."""
    return np.array([datetime.fromtimestamp(time_s) for time_s in times_s], "datetime64[ms]")
