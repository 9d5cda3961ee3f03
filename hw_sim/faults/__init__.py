"""Things that go wrong on a scanner, each with the truth of what it did."""

from hw_sim.faults.ask import ask, find_fault
from hw_sim.faults.fault import Asked, Fault, Key, Place
from hw_sim.faults.stage import Staged, stage
from hw_sim.faults.table import FAULTS
from hw_sim.faults.truth import Truth

__all__ = ["FAULTS", "Asked", "Fault", "Key", "Place", "Staged", "Truth", "ask", "find_fault", "stage"]
