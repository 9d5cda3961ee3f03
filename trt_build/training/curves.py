"""Curves of a training: a table that grows, and its picture."""

import csv
from collections.abc import Mapping
from pathlib import Path

__all__ = ["append_row", "draw"]


def append_row(path: Path, row: Mapping[str, float]) -> None:
    """Add a line to a CSV file, with its head when it is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def draw(table: Path, picture: Path) -> None:
    """Loss, PSNR and SSIM over steps as a PNG."""
    from matplotlib.figure import Figure

    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    steps = [float(row["step"]) for row in rows]
    figure = Figure(figsize=(9, 3), layout="constrained")
    shown = (("loss", "training loss"), ("psnr_db", "validation PSNR, dB"), ("ssim", "validation SSIM"))
    for place, (key, title) in zip(figure.subplots(1, len(shown)), shown, strict=True):
        place.plot(steps, [float(row[key]) for row in rows], label="network")
        if key != "loss":
            place.axhline(float(rows[0][f"linear_{key}"]), color="grey", linestyle=":", label="linear image")
            place.legend(frameon=False, loc="lower right")
        place.set(title=title, xlabel="steps")
    figure.savefig(picture, dpi=110)
