"""Laws of flags as gadgets make them: a limit in another unit than the score's judges nothing."""

import pytest

from protocols.events import Severity
from protocols.scan_protocol import parse
from tests.making import TOML, context

ORDER = TOML[: TOML.index("[limits")]


@pytest.mark.parametrize("severity", list(Severity))
def test_a_score_in_another_unit_than_its_limit_is_unknown_and_says_what_to_mend(severity):
    limit = '[limits.fwhm_x]\nvalue = 1\ndirection = "max"\nunit = "mm"\n'
    assert parse(ORDER + limit, "test.toml").limits
    told = context(toml=ORDER + limit).flag("fwhm_x", severity, "moved", score=0.5, unit="cm")
    assert told.severity is Severity.UNKNOWN
    assert "[limits.fwhm_x] is in 'mm', the score in 'cm'" in told.message
    assert context(toml=ORDER + limit).flag("fwhm_x", severity, "moved", score=0.5, unit="mm").severity is severity
