"""Laws of the enough gadget: a scan with averages may stop when every slice has the SNR that is wanted."""

import pytest

from gadgets.enough import enough
from gadgets.oversampling import oversampling
from gadgets.whiten import whiten
from hw_sim.coils import head_array
from hw_sim.exam import sequence_of
from hw_sim.paperwork import Order
from hw_sim.phantom import ASYMMETRIC
from hw_sim.scanner import Scanner
from protocols.events import Flag, Severity
from protocols.messages import Lines
from protocols.stream import chain
from tests.making import context

SNR = 10.0  # of one average, by a complex sample's noise; by a real part's it is root of two more


def came(target, name="brain_gre_r4", **more):
    """Flags and lines, in their order, of two slices with four averages in turn."""
    _, simulate = sequence_of(name)
    given = {"acceleration": 1, "calibration": "none", "averages": 4, "interleaved": True, "snr": SNR, **more}
    small = simulate.model_copy(update={"matrix": (64, 32), "slices": 2, **given})
    played = Scanner(ASYMMETRIC, head_array(8)).prepare(small, Order("test"))
    made = context(of=played.scan)
    nodes = chain(whiten(made), oversampling(made), enough(made, target=target))
    return [
        m if isinstance(m, Flag) else int(m.headers["idx"]["average"][-1])
        for m in nodes(iter(played.readouts()))
        if isinstance(m, Lines) or (isinstance(m, Flag) and m.code == "snr_reached")
    ]


def told(*given, **more):
    return [m for m in came(*given, **more) if isinstance(m, Flag)]


@pytest.mark.parametrize("averages", [1, 2, 3])
def test_it_is_told_when_as_many_averages_have_come_as_are_needed_and_not_before(averages):
    target = SNR * 2**0.5 * (averages - 0.4) ** 0.5
    (flag,) = told(target)
    assert flag.evidence == {"averages": averages, "of": 4}
    assert flag.severity is Severity.PASS
    assert flag.score == pytest.approx(SNR * (2 * averages) ** 0.5, rel=0.2)


def test_it_is_told_while_the_next_average_is_being_acquired():
    got = came(SNR)
    at = next(n for n, m in enumerate(got) if isinstance(m, Flag))
    assert got[at - 1] == 1
    assert got[-1] == 3


def test_more_than_will_be_reached_is_never_told():
    assert told(SNR * 4) == []


def test_averages_slice_by_slice_leave_later_slices_without_any_so_nothing_may_stop_before_the_last_one():
    got = came(SNR, interleaved=False)
    at = next(n for n, m in enumerate(got) if isinstance(m, Flag))
    assert got[:at].count(0) == 2  # the last slice has begun
    assert got[at].evidence["averages"] == 1


def test_a_scan_without_averages_has_nothing_to_stop():
    assert told(SNR, averages=1) == []


def test_without_a_noise_scan_or_without_neighbouring_lines_it_cannot_be_told():
    for more in ({"noise_readouts": 0}, {"acceleration": 4}):
        (flag,) = told(SNR, **more)
        assert flag.severity is Severity.UNKNOWN


def test_the_shipped_scan_protocol_with_averages_says_it_before_the_last_one():
    protocol, simulate = sequence_of("brain_gre_averaged")
    target = dict(protocol.chain.nodes)["enough"]["target"]
    as_shipped = {"acceleration": simulate.acceleration, "calibration": simulate.calibration, "snr": simulate.snr}
    (flag,) = told(target, "brain_gre_averaged", averages=simulate.averages, **as_shipped)
    assert flag.severity is Severity.PASS
    assert flag.evidence["averages"] < flag.evidence["of"] == simulate.averages
