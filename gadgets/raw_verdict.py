"""How a check of raw data speaks: judged by the scan protocol's limit, UNKNOWN without one."""

from gadgets.context import Context
from protocols.events import Flag, Severity
from protocols.messages import Record

__all__ = ["label", "place", "verdict"]

Evidence = dict[str, int | float | str | list[int]]


def verdict(context: Context, code: str, score: float | None, text: str, unit: str, **more: object) -> Flag:
    """Judge a score by [limits.<code>]; the limit's advice goes before the check's own, none where it passes."""
    limit = context.protocol.limits.get(code)
    severity = Severity.UNKNOWN if limit is None else limit.judge(score)
    if limit is None:
        text = f"{text}; no limit, so write [limits.{code}] into the scan protocol"
    advice = "" if severity is Severity.PASS else (limit.advice if limit else "") or str(more.get("advice", ""))
    shown = None if score is None else round(score, 4)
    return context.flag(code, severity, text, **{**more, "advice": advice, "score": shown, "unit": unit})


def label(context: Context, coil: int) -> str:
    """What the header calls a coil, else its number."""
    labels = context.scan.coil_labels
    return labels[coil] if coil < len(labels) else f"coil {coil}"


def place(header: Record) -> dict[str, int]:
    """Which frame a readout belongs to."""
    return {name: int(header["idx"][name]) for name in ("slice", "contrast", "repetition")}
