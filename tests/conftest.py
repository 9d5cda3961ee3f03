"""What holds for all tests."""

from hypothesis import settings

settings.register_profile("scanside", deadline=None)  # a busy machine is no fault: timings are benchmarks
settings.load_profile("scanside")
