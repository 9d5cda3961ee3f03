"""How much of the processors other machines took meanwhile, where the system tells (steal, of a virtual machine)."""

import threading
import time
from contextlib import contextmanager

import numpy as np
import psutil

EVERY_S = 0.05


class Stolen:
    """Seconds stolen from all processors together, noted twenty times a second."""

    def __init__(self):
        self.at_ns, self.stolen_s = [], []

    def note(self):
        self.at_ns.append(time.perf_counter_ns())
        self.stolen_s.append(getattr(psutil.cpu_times(), "steal", 0.0))

    def share(self, begin_ns, end_ns):
        """Of the processors' time between two moments."""
        before, after = np.interp([begin_ns, end_ns], self.at_ns, self.stolen_s)
        return (after - before) * 1e9 / max(end_ns - begin_ns, 1) / psutil.cpu_count()


@contextmanager
def watched():
    """Notes what is stolen until the block ends."""
    stolen, done = Stolen(), threading.Event()

    def watch():
        stolen.note()
        while not done.wait(EVERY_S):
            stolen.note()
        stolen.note()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield stolen
    finally:
        done.set()
        thread.join()
