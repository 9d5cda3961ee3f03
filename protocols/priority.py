"""Which threads give way to which: frames that are there, then what comes next and opinions, then preparations."""

import os
import sys
import threading
from typing import Final

__all__ = ["PREPARING", "WAITING", "stand_back"]

WAITING: Final = 10  # nice values: of what may wait for the frame that is being made
PREPARING: Final = 19  # of what later frames will want


def stand_back(by: int) -> None:
    """Give the calling thread a lower priority, for good; Linux alone has priorities by thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), by)
