"""What an earlier report measured: methods that have not changed, or whose weights are not here, stand as they were."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from trt_build.report.errors import ReportError
from trt_build.report.evaluate import Row
from trt_build.report.metrics import Quality
from trt_build.report.tuning import Tuned

__all__ = ["Earlier", "read_earlier"]

Place: TypeAlias = tuple[str, str, int, str]  # group, name, acceleration, pattern of a case


@dataclass(frozen=True, slots=True)
class Earlier:
    """Rows of some methods, and the weights that l1-wavelet had."""

    model: str  # whose report it was
    rows: dict[tuple[Place, str], Row]
    tuned: Tuned
    checkpoints: dict[str, str]  # method -> for how long it was trained

    @property
    def methods(self) -> list[str]:
        """Those that are not measured again."""
        return sorted({method for _, method in self.rows})

    def row(self, place: Place, method: str) -> Row:
        """What a method reached on a case; raises ReportError where it was not measured."""
        try:
            return self.rows[place, method]
        except KeyError:
            case = f"{place[1]}, {place[3]} R = {place[2]}"
            raise ReportError(
                f"the earlier report: {method} was not measured on {case}; leave --earlier out to measure all"
            ) from None


def read_earlier(folder: Path, methods: Sequence[str]) -> Earlier:
    """Read the rows of `methods` from rows.csv and report.json of a folder; raises ReportError for another folder."""
    try:
        document = json.loads((folder / "report.json").read_text())
        with (folder / "rows.csv").open(newline="") as file:
            rows = [_row(line) for line in csv.DictReader(file) if line["method"] in methods]
        entries = {(t["group"], t["acceleration"], t["pattern"]): t for t in document["tuning"]}
        tuned = Tuned(
            {key: float(entry["lambda"]) for key, entry in entries.items()},
            {key: entry["maps"] == "ecalib" for key, entry in entries.items()},
        )
        about = document["about"]
        model = " ".join(about[key] for key in ("model", "version") if key in about)
        checkpoints = {key: value for key, value in about.get("checkpoints", {}).items() if key in methods}
    except OSError as error:
        raise ReportError(f"{error.filename}: {error.strerror}; wanted the folder of an earlier report") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{folder}: not a report that `scanside-build report` wrote ({error!r})") from error
    known = {((r.group, r.name, r.acceleration, r.pattern), r.method): r for r in rows}
    return Earlier(model, known, tuned, checkpoints)


def _row(line: dict[str, str]) -> Row:
    regions = {
        region: Quality(**{name: float(line[f"{region}_{name}"]) for name in Quality._fields})
        for region in ("head", "brain")
    }
    return Row(
        line["group"],
        line["name"],
        int(line["acceleration"]),
        line["pattern"],
        line["method"],
        float(line["ms"]),
        **regions,
        covered=float(line["covered"]) if line["covered"] else None,
        outside=line["outside"],
    )
