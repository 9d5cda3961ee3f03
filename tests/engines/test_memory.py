"""What is freed stays with the process, and a frame finds its memory there."""

import subprocess
import sys

import pytest

ROUNDS = """
import resource, sys, threading
import numpy as np
from engines.memory import hold, keep_memory

if sys.argv[1] == "kept":
    keep_memory()
    hold(1 << 26)
def frame():
    for _ in range(4):
        for array in [np.empty(size << 20, np.uint8) for size in (1, 7, 15, 30)]:
            array.fill(1)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for work in (frame, frame):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is kept by GNU's C library alone")
def test_frames_in_any_thread_find_the_memory_of_those_before():
    def faults(how):
        run = subprocess.run([sys.executable, "-c", ROUNDS, how], capture_output=True, text=True, check=True)
        return [int(count) for count in run.stdout.split()]

    (_, given_back), (first, kept) = faults("given back"), faults("kept")
    assert kept < given_back / 5
    assert first < given_back
