"""What is wrong with the lines that came, in sentences: missing, repeated, belated, or outside the header's limits."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engines.placement import Placement
from gadgets.context import Context
from protocols.events import Flag, Severity
from protocols.lattice import Lattice
from protocols.messages import Record

__all__ = ["LineVerdict"]

Mask = NDArray[np.bool_]  # (e2, e1)
Headers = NDArray[np.void]


class LineVerdict:
    """Flags about lines of a lattice."""

    def __init__(self, context: Context, lattice: Lattice) -> None:
        self._context = context
        self._lattice = lattice
        self._strays = 0
        self._unused = 0

    def of_frame(self, placed: Placement, expected: Mask, header: Record, reason: str) -> Iterator[Flag]:
        """Say which lines of a frame that leaves never came, and which came twice."""
        absent = expected & (placed.seen == 0)
        if absent.any():
            yield from self._missing(np.argwhere(absent), header, reason)
        if placed.repeated:
            where = _place_of(header)
            yield self._context.flag(
                "repeated_lines",
                Severity.WARN,
                f"{len(placed.repeated)} lines of slice {where['slice']} came twice; the last one was used",
                score=len(placed.repeated),
                unit="lines",
                evidence={**where, "lines": self._steps(placed.repeated)},
            )

    def belated(self, acquired: Mask, headers: Headers) -> Iterator[Flag]:
        """Say which lines came when their frame had left with those acquired: again, or for the first time."""
        idx = headers["idx"]
        steps = idx["kspace_encode_step_1"]
        again = acquired[self._lattice.slabs(idx["kspace_encode_step_2"]), self._lattice.rows(steps)]
        where = _place_of(headers[-1])
        for code, which, how in (("repeated_lines", again, "again "), ("unused_readouts", ~again, "")):
            if which.any():
                text = f"lines of slice {where['slice']} came {how}when their frame had left, and are not used"
                evidence = {**where, "lines": steps[which].tolist()}
                count = int(which.sum())
                yield self._context.flag(
                    code, Severity.WARN, f"{count} {text}", score=count, unit="lines", evidence=evidence
                )

    def stray(self, headers: Headers) -> Iterator[Flag]:
        """Say at once, and once, that lines outside the header's limits came."""
        if len(headers) and not self._strays:
            step, space = int(headers["idx"]["kspace_encode_step_1"][0]), int(headers["encoding_space_ref"][0])
            low, high = self._lattice.limit1.minimum, self._lattice.limit1.maximum
            yield self._context.flag(
                "line_outside_limits",
                Severity.FAIL,
                f"encode step {step} of encoding space {space} is outside the header's limits "
                f"({low} to {high}, {self._lattice.lines} lines, space 0); such readouts are not used",
                advice="correct encodingLimits in the scanner's header",
                evidence={"line": step},
            )
        self._strays += len(headers)

    def unused(self, count: int) -> None:
        """Count readouts that are for something else."""
        self._unused += count

    def of_stream(self) -> Iterator[Flag]:
        """Say at the end what was not used."""
        if self._unused:
            text = f"{self._unused} navigator, phase-correction or feedback readouts were not used"
            yield self._context.flag("unused_readouts", Severity.PASS, text, score=self._unused, unit="readouts")
        if self._strays:
            text = f"{self._strays} readouts outside the header's limits were not used"
            yield self._context.flag("unused_readouts", Severity.FAIL, text, score=self._strays, unit="readouts")

    def _missing(self, missing: NDArray[np.intp], header: Record, reason: str) -> Iterator[Flag]:
        """Say which lines (e2, e1) never came, where that is more than the protocol lets pass."""
        where = _place_of(header)
        limit = self._context.protocol.limits.get("missing_lines")
        severity = Severity.FAIL if limit is None else limit.judge(len(missing))
        if severity is not Severity.PASS:
            yield self._context.flag(
                "missing_lines",
                severity,
                f"{len(missing)} lines of slice {where['slice']} never came (the frame left by: {reason})",
                advice=f"repeat slice {where['slice']}" if self._lattice.partitions == 1 else "repeat the scan",
                score=len(missing),
                unit="lines",
                evidence={**where, **self._which(missing)},
            )

    def _which(self, missing: NDArray[np.intp]) -> dict[str, object]:
        """Encode steps of rows (e2, e1), each once."""
        lines = self._steps(np.unique(missing[:, 1]).tolist())
        if self._lattice.partitions == 1:
            return {"lines": lines}
        return {"lines": lines, "partitions": self._lattice.steps2(np.unique(missing[:, 0])).tolist()}

    def _steps(self, rows: list[int]) -> list[int]:
        steps: list[int] = self._lattice.steps(np.array(rows)).tolist()
        return steps


def _place_of(header: Record) -> dict[str, int]:
    return {name: int(header["idx"][name]) for name in ("slice", "contrast", "repetition")}
