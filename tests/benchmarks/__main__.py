"""`make bench`: measure, print one table, write out/bench.json; nothing here passes or fails.

Every group is measured in a process of its own, so that none heats the caches or the thread pools of the next.
"""

import argparse
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

GROUPS = (
    "ready",
    "receive",
    "latency",
    "series",
    "network",
    "artefacts",
    "checks",
    "overhead",
    "judge",
    "advice",
    "positioning",
    "stale",
    "published",
)
OUT = Path("out/bench.json")


def measure(group: str) -> dict[str, dict[str, object]]:
    """Run one group in a fresh interpreter and take its figures."""
    code = f"import json, sys; from tests.benchmarks import {group} as g; json.dump(g.run(), sys.stdout)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, entry: dict[str, object]) -> tuple[str, ...]:
    def shown(key: str) -> str:
        value = entry.get(key)
        return f"{value:.4g}" if isinstance(value, (int, float)) else str(value or "")

    return name, shown("value"), shown("unit"), shown("peer"), shown("peer_value"), shown("ratio")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=GROUPS, help="one group; the others keep their figures in out/bench.json")
    only = parser.parse_args().only
    figures = json.loads(OUT.read_text()) if only and OUT.exists() else {}
    console = Console(stderr=True)
    for group in [only] if only else GROUPS:
        began = time.monotonic()
        with console.status(f"measuring {group} …"):
            importlib.import_module(f"tests.benchmarks.{group}")
            figures |= measure(group)
        console.print(f"{group}: {time.monotonic() - began:.0f} s")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
    table = Table(Column("figure", no_wrap=True), *("value", "unit", "peer", "peer's value", "ratio"))
    for name, entry in sorted(figures.items()):
        table.add_row(*row(name, entry))
    Console().print(table)


if __name__ == "__main__":
    main()
