"""What holds for all tests."""

import signal

from hypothesis import settings

settings.register_profile("scanside", deadline=None)  # a busy machine is no fault: timings are benchmarks
settings.load_profile("scanside")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what is to run in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # processes that tests start inherit the other one
