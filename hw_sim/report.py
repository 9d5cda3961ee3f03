"""One page that shows an exam, readable without a network."""

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import resources
from typing import Any

from hw_sim.collect import Result, timeline
from hw_sim.console import Latency, latency, latency_plot
from hw_sim.faults import Truth
from hw_sim.montage import montage
from hw_sim.planned import Planned
from protocols.messages import Image
from protocols.simulate import Simulate

__all__ = ["Shown", "page"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One scan of an exam: how it was made and what it brought."""

    name: str
    title: str
    result: Result
    simulate: Simulate | None = None
    truths: tuple[Truth, ...] = ()
    before: Result | None = None  # the scan whose spoilt slices were acquired again here
    planned: Planned | None = None  # where it should lie, if the plugin was to say so

    @property
    def spoilt(self) -> list[Image]:
        """Images of the scan before of slices that were acquired again."""
        images = [] if self.before is None else [arrived.image for arrived in self.before.images]
        here = {int(arrived.image.header["slice"]) for arrived in self.result.images}
        return [image for image in images if int(image.header["slice"]) in here]

    @property
    def images(self) -> list[Image]:
        """Everything that came."""
        return [arrived.image for arrived in self.result.images]

    @property
    def overlay(self) -> bytes | None:
        """PNG of the scout with the slices drawn on it, where they were to be prescribed."""
        return None if self.planned is None else self.planned.picture(self.images)

    @property
    def latency(self) -> Latency | None:
        """Latency over the images of the scan."""
        return latency(self.result)

    @property
    def severities(self) -> str:
        """How many flags of each severity."""
        counts = Counter(flag.severity.value for flag in self.result.flags)
        return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def _embedded(png: bytes) -> str:
    return "data:image/png;base64," + b64encode(png).decode()


def _scan(shown: Shown) -> dict[str, Any]:
    images = shown.images
    overlay = shown.overlay
    flags = [flag for flag in shown.result.flags if flag.severity.value != "PASS"]
    simulated = shown.simulate.model_dump(mode="json", exclude_none=True) if shown.simulate else {}
    return {
        "shown": shown,
        "latency": shown.latency,
        "montage": _embedded(montage(images)) if images else "",
        "before": _embedded(montage(shown.spoilt)) if shown.spoilt else "",
        "overlay": _embedded(overlay) if overlay else "",
        "placed": list(shown.planned.rows(images)) if shown.planned else [],
        "meta": dict(images[0].meta) if images else {},
        "flags": flags,
        "passed": len(shown.result.flags) - len(flags),
        "rows": timeline(shown.result),
        "simulated": simulated,
    }


def page(title: str, scans: Sequence[Shown], facts: dict[str, str]) -> str:
    """HTML with everything inside it; `facts` stand at the top."""
    from jinja2 import Environment

    template = (resources.files("hw_sim") / "report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        title=title,
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        facts=facts,
        scans=[_scan(shown) for shown in scans],
        latency=_embedded(latency_plot([(shown.name, shown.result) for shown in scans])),
    )
