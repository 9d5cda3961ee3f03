import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_sim.paperwork import Order, first_line, headers, scan_of
from hw_sim.planes import planes
from hw_sim.sequencer import Kind, acquired_lines, plan
from protocols.header import parse_header, write_header
from protocols.mrd import AcqFlag, flag_mask, has_flag
from protocols.simulate import Simulate

SCANS = st.builds(
    Simulate,
    matrix=st.sampled_from([(32, 32), (48, 64), (64, 48)]),
    slices=st.integers(1, 3),
    three_plane=st.booleans(),
    acceleration=st.integers(1, 8),
    calibration=st.sampled_from(["none", "embedded", "separate"]),
    calibration_lines=st.sampled_from([8, 12, 16]),
    partial_fourier=st.sampled_from([1.0, 0.75, 0.625]),
    echo_fraction=st.sampled_from([1.0, 0.8]),
    averages=st.integers(1, 2),
    repetitions=st.integers(1, 3),
    interleaved=st.booleans(),
    noise_readouts=st.integers(0, 5),
)


def heads_of(scan):
    where = planes(scan)
    what = plan(scan, len(where))
    lines = acquired_lines(scan)
    return what, headers(what, scan, where, 8, first_line(lines), Order("test")), lines


def flagged(heads, *flags):
    return has_flag(heads["flags"], *flags)


@given(SCANS)
@settings(max_examples=60)
def test_every_frame_begins_once_and_ends_once_and_the_measurement_ends_last(scan):
    what, heads, _ = heads_of(scan)
    imaging = what["kind"] == Kind.IMAGING
    assert imaging.any()
    slices = len(planes(scan))
    for flag in (AcqFlag.FIRST_IN_SLICE, AcqFlag.LAST_IN_SLICE):
        marked = what[flagged(heads, flag)]
        assert len(marked) == slices * scan.repetitions
        assert len(np.unique(marked[["slice", "repetition"]])) == slices * scan.repetitions
    for number in range(slices):
        frame = imaging & (what["slice"] == number) & (what["repetition"] == 0)
        assert flagged(heads[frame], AcqFlag.LAST_IN_SLICE)[-1]
        assert flagged(heads[frame], AcqFlag.FIRST_IN_SLICE)[0]
    assert flagged(heads, AcqFlag.LAST_IN_MEASUREMENT).nonzero()[0].tolist() == [len(heads) - 1]


@given(SCANS)
@settings(max_examples=60)
def test_acceleration_and_partial_fourier_leave_lines_out_and_kspace_zero_is_always_there(scan):
    what, _, lines = heads_of(scan)
    ny = scan.matrix[1]
    assert ny // 2 in lines.grid
    assert (np.diff(lines.grid) == scan.acceleration).all()
    assert lines.grid.min() >= ny - round(ny * scan.partial_fourier)
    imaging = what[what["kind"] == Kind.IMAGING]
    wanted = lines.imaging if scan.calibration == "embedded" else lines.grid
    per_frame = len(wanted) * scan.averages * len(planes(scan)) * scan.repetitions
    assert len(imaging) == per_frame
    assert np.array_equal(np.unique(imaging["line"]), wanted)


@given(SCANS)
@settings(max_examples=60)
def test_calibration_lines_are_flagged_as_a_siemens_scanner_flags_them(scan):
    what, heads, lines = heads_of(scan)
    only = flagged(heads, AcqFlag.IS_PARALLEL_CALIBRATION)
    both = flagged(heads, AcqFlag.IS_PARALLEL_CALIBRATION_AND_IMAGING)
    assert not (only & both).any()
    if scan.calibration == "embedded":
        assert set(what["line"][both]) == set(lines.calibration) & set(lines.grid)
        assert set(what["line"][only]) == set(lines.calibration) - set(lines.grid)
    elif scan.calibration == "separate":
        assert (what["kind"][only] == Kind.REFERENCE).all()
        assert only.sum() == len(lines.calibration) * len(planes(scan))
        assert only.nonzero()[0].max() < (what["kind"] == Kind.IMAGING).nonzero()[0].min()
    else:
        assert not only.any()
        assert not both.any()


@given(SCANS)
@settings(max_examples=60)
def test_noise_comes_first_and_time_never_goes_back(scan):
    what, heads, _ = heads_of(scan)
    noise = flagged(heads, AcqFlag.IS_NOISE_MEASUREMENT)
    assert noise.sum() == scan.noise_readouts
    assert noise[: scan.noise_readouts].all()
    assert (np.diff(heads["acquisition_time_stamp"].astype(int)) >= 0).all()
    assert (np.diff(heads["scan_counter"].astype(int)) == 1).all()
    assert (what["kind"][noise] == Kind.NOISE).all()


@given(SCANS)
@settings(max_examples=40)
def test_the_header_parses_and_places_every_line_inside_its_limits(scan):
    _, heads, lines = heads_of(scan)
    labels = tuple(f"L{n}" for n in range(8))
    parsed = parse_header(write_header(scan_of(scan, lines, len(planes(scan)), labels, Order("test"))))
    encoding = parsed.encodings[0]
    limit = encoding.limits["kspace_encoding_step_1"]
    steps = heads["idx"]["kspace_encode_step_1"]
    assert limit.minimum <= steps.min()
    assert steps.max() <= limit.maximum
    assert limit.centre == scan.matrix[1] // 2 - lines.imaging.min()
    assert encoding.acceleration == (scan.acceleration, 1)
    assert encoding.encoded_matrix == (scan.matrix[0] * scan.oversampling, scan.matrix[1], 1)
    assert parsed.coil_labels == labels
    assert parsed.patient_position == "HFS"


def test_an_early_echo_leaves_samples_out_before_the_centre():
    _, heads, _ = heads_of(Simulate(matrix=(64, 64), echo_fraction=0.75, oversampling=2))
    assert (heads["number_of_samples"] == 96).all()
    assert (heads["center_sample"] == 32).all()


def test_the_dwell_time_is_that_of_the_bandwidth():
    _, heads, _ = heads_of(Simulate(matrix=(64, 64), bandwidth_hz_per_pixel=250.0, oversampling=2))
    assert heads["sample_time_us"][0] == pytest.approx(1e6 / (250 * 128))


def test_geometry_of_a_readout_is_that_of_its_slice():
    scan = Simulate(matrix=(32, 32), three_plane=True, slices=2, noise_readouts=2)
    what, heads, _ = heads_of(scan)
    imaging = what["kind"] == Kind.IMAGING
    for number, plane in enumerate(planes(scan)):
        mine = heads[imaging & (what["slice"] == number)]
        assert np.allclose(mine["position"], plane.centre_mm)
        assert np.allclose(mine["slice_dir"], plane.slice_dir)


def test_navigators_come_before_every_nth_imaging_readout_and_change_nothing_else():
    with_them, without = (plan(Simulate(slices=3, noise_readouts=4, navigator_every=n), 3) for n in (7, 0))
    navigates = with_them["kind"] == Kind.NAVIGATOR
    assert np.array_equal(with_them[~navigates], without)
    assert np.flatnonzero(navigates)[:3].tolist() == [4, 12, 20]
    assert set(with_them["line"][navigates]) == {128}
    assert set(with_them["slice"][navigates]) == {1}


def test_only_the_slices_that_are_wanted_are_acquired():
    whole, part = (plan(Simulate(slices=4, calibration="separate"), 4, only) for only in ((), (3, 1)))
    here = whole[(whole["kind"] == Kind.NOISE) | np.isin(whole["slice"], (1, 3))]
    for name in ("kind", "slice", "line"):
        assert np.array_equal(part[name], here[name])
    assert part["flags"][-1] & flag_mask(AcqFlag.LAST_IN_MEASUREMENT)
