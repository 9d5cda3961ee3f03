"""The figures that are quoted: gains over the peers, coverage of the error map, and where the network loses."""

from collections.abc import Iterable, Mapping
from statistics import mean
from typing import Any, Final, NamedTuple

from trt_build.report.evaluate import Row
from trt_build.report.methods import NAMES

__all__ = ["Loss", "benchmark", "coverage", "losses"]

PEERS: Final = ("linear", "cg_sense", "cg_sense_sigpy", "l1_wavelet", "unet", "varnet")  # at their best
METRICS: Final = ("psnr_db", "ssim")
# key -> group, acceleration (None: 4 and 8), region, peer
GAINS: Final = {
    "psnr_gain_l1_r4_db": ("heads", 4, "brain", "l1_wavelet"),
    "psnr_gain_l1_r8_db": ("heads", 8, "brain", "l1_wavelet"),
    "psnr_gain_l1_real_r4_db": ("real", 4, "brain", "l1_wavelet"),
    "psnr_gain_l1_real_r8_db": ("real", 8, "brain", "l1_wavelet"),
    "psnr_gain_l1_blind_real_r4_db": ("real", 4, "brain", "l1_wavelet_blind"),
    "psnr_gain_l1_blind_real_r8_db": ("real", 8, "brain", "l1_wavelet_blind"),
    "shepp_logan_vs_l1_db": ("shepp_logan", None, "head", "l1_wavelet"),
}


class Loss(NamedTuple):
    """A peer that is better than the network."""

    group: str
    acceleration: int
    pattern: str
    region: str
    metric: str
    peer: str
    network: float
    reached: float


def benchmark(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Gains over l1-wavelet in the layout of out/bench.json: means over masks and slices."""
    rows = list(rows)
    found = {}
    for key, (group, acceleration, region, peer) in GAINS.items():
        some = [
            row
            for row in rows
            if row.group == group and row.acceleration in ((acceleration,) if acceleration else (4, 8))
        ]
        reached = {
            method: [getattr(row, region).psnr_db for row in some if row.method == method]
            for method in ("network", peer)
        }
        if all(reached.values()):
            theirs = mean(reached[peer])
            found[key] = {
                "value": mean(reached["network"]) - theirs,
                "unit": "dB",
                "peer": f"{NAMES[peer]}, PSNR",
                "peer_value": theirs,
                "ratio": None,
            }
    return found | _withholding(rows)


def _withholding(rows: list[Row]) -> dict[str, dict[str, Any]]:
    """PSNR in the brain of test heads that withheld lines cost, at R = 4 and 8."""
    found = {}
    for acceleration in (4, 8):
        some = [row for row in rows if row.group == "heads" and row.acceleration == acceleration]
        kept, lost = (
            [row.brain.psnr_db for row in some if row.method == method] for method in ("network", "network_withheld")
        )
        if kept and lost:
            cost = mean(kept) - mean(lost)
            found[f"withholding_cost_r{acceleration}_db"] = {"value": cost, "unit": "dB", "ratio": None}
    return found


def coverage(rows: Iterable[Row]) -> dict[str, float]:
    """Share of pixels whose error lies under its bound, by group."""
    kept: dict[str, list[float]] = {}
    for row in rows:
        if row.covered is not None and row.method == "network":
            kept.setdefault(row.group, []).append(row.covered)
    return {group: mean(values) for group, values in kept.items()}


def losses(means: Mapping[tuple[str, int, str, str], Mapping[str, float]]) -> list[Loss]:
    """Every mean in which a peer is better than the network, the largest shortfalls of PSNR first."""
    found = []
    for (group, acceleration, pattern, method), theirs in means.items():
        ours = means.get((group, acceleration, pattern, "network"))
        if method not in PEERS or ours is None:
            continue
        for region in ("head", "brain"):
            for metric in METRICS:
                name = f"{region}_{metric}"
                if theirs[name] > ours[name]:
                    found.append(Loss(group, acceleration, pattern, region, metric, method, ours[name], theirs[name]))
    return sorted(found, key=lambda loss: (loss.metric, loss.network - loss.reached))
