"""Which threads give way to which: frames that are there, then what comes next, then preparations, then opinions."""

import os
import sys
import threading
from typing import Final

__all__ = ["COMING", "JUDGING", "PREPARING", "stand_back"]

COMING: Final = 10  # nice values: of what may wait for the frame that is being made
PREPARING: Final = 14  # of what later frames will want
JUDGING: Final = 19  # of what no image waits for


def stand_back(by: int) -> None:
    """Give the calling thread a lower priority, for good; Linux alone has priorities by thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), by)
