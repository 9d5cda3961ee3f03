import numpy as np
import pytest

from hw_sim.coils import head_array
from hw_sim.errors import SimulationError
from hw_sim.faults import FAULTS, ask, stage
from hw_sim.faults.coils import OWN_NOISE
from hw_sim.pacing import singly
from hw_sim.paperwork import Order
from hw_sim.phantom import ASYMMETRIC
from hw_sim.scanner import Scanner
from hw_sim.sequencer import Kind

COILS = 6
SCANNER = Scanner(ASYMMETRIC, head_array(COILS))
SCAN = {"calibration": "separate", "calibration_lines": 8, "slices": 2, "snr": 60.0, "tr_ms": 20.0}
LONG_NOISE = {"matrix": (128, 16), "noise_readouts": 200}
IN_PLACE = sorted(set(FAULTS) - {"lose_line", "repeat_line", "late_line", "wrap", "vanish", "cut"})


@pytest.fixture
def play(simulate):
    """Play a small scan with faults: the stage, and its readouts one by one."""

    def make(*faults, **changes):
        staged = stage(SCANNER, simulate(**(SCAN | changes)), Order("test"), [ask(text) for text in faults])
        return staged, list(singly(staged.stream()))

    return make


def samples(readouts):
    return np.concatenate([one.samples for one in readouts])


def counters(readouts):
    return [int(one.headers["scan_counter"][0]) for one in readouts]


def noise(staged, readouts):
    """Noise readouts as (coil, sample)."""
    flat = samples(readouts)[staged.played.plan["kind"] == Kind.NOISE]
    return flat.swapaxes(0, 1).reshape(COILS, -1)


def std(values):
    return np.sqrt(np.mean(np.abs(values) ** 2, axis=-1))


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_fault_changes_the_readouts_and_coils_of_its_truth_and_nothing_else_by_a_single_bit(name, play):
    _, clean = play()
    staged, spoilt = play(name)
    (truth,) = staged.truths
    assert counters(spoilt) == counters(clean)
    assert all(a.headers.tobytes() == b.headers.tobytes() for a, b in zip(clean, spoilt, strict=True))
    changed = np.array(
        [
            [not np.array_equal(a.samples[0, coil], b.samples[0, coil]) for coil in range(COILS)]
            for a, b in zip(clean, spoilt, strict=True)
        ]
    )
    told = np.zeros_like(changed)
    rows = np.array(truth.readouts) - 1
    told[np.ix_(rows, truth.coils or range(COILS))] = True
    assert told.any()
    assert np.array_equal(changed, told)


@pytest.mark.parametrize("name", sorted(set(FAULTS) - {"vanish", "cut"}))
def test_the_truth_names_lines_slices_and_the_time_as_the_headers_of_its_readouts_do(name, play):
    staged, _ = play(name)
    (truth,) = staged.truths
    rows = np.array(truth.readouts) - 1
    heads = staged.played.headers[rows][staged.played.plan["kind"][rows] != Kind.NOISE]
    wanted = {
        number: heads["idx"]["kspace_encode_step_1"][heads["idx"]["slice"] == number].tolist()
        for number in set(heads["idx"]["slice"].tolist())
    }
    assert truth.lines == wanted
    assert truth.began_s == pytest.approx(rows[0] * 0.02)
    assert (truth.fault, truth.unit, truth.strength) == (name, FAULTS[name].unit, FAULTS[name].strength)


def test_a_stream_without_faults_is_the_scan_itself(play):
    staged, readouts = play()
    assert staged.truths == ()
    assert np.array_equal(samples(readouts), samples(staged.played.readouts()))


def test_lost_lines_never_come(play):
    staged, readouts = play("lose_line@37:3")
    (truth,) = staged.truths
    assert truth.lines == {1: [5, 6, 7]}
    assert set(range(1, len(staged.played.plan) + 1)) - set(counters(readouts)) == set(truth.readouts)


def test_repeated_lines_come_twice_and_alike(play):
    staged, readouts = play("repeat_line@37")
    (truth,) = staged.truths
    first, second = (one for one in readouts if counters([one]) == truth.readouts)
    assert np.array_equal(first.samples, second.samples)
    assert len(readouts) == len(staged.played.plan) + 1


@pytest.mark.parametrize(("asked", "overtaken"), [("late_line@10:5", 5), ("late_line@60:1000", 3)])
def test_a_late_line_is_overtaken_by_so_many_readouts_or_by_all_that_are_left(asked, overtaken, play):
    staged, readouts = play(asked)
    (late,) = staged.truths[0].readouts
    came = counters(readouts)
    assert sorted(came) == list(range(1, len(came) + 1))
    assert came.index(late) == late - 1 + overtaken
    assert [counter for counter in came if counter != late] == sorted(set(came) - {late})


def test_a_spike_adds_so_many_noise_standard_deviations_to_one_sample_of_one_coil(play):
    _, clean = play()
    staged, spoilt = play("spike@37:10,coil=3,sample=40")
    added = samples(spoilt) - samples(clean)
    (row,) = np.array(staged.truths[0].readouts) - 1
    assert np.argwhere(added).tolist() == [[row, 3, 40]]
    assert abs(added[row, 3, 40]) == pytest.approx(10 * staged.played.frontend.sigma[3], rel=1e-3)
    assert staged.truths[0].coils == (3,)


def test_the_truth_of_a_spike_names_the_sample_that_it_hit(play):
    _, clean = play()
    staged, spoilt = play("spike")
    hit = np.argwhere(samples(spoilt) != samples(clean))
    assert set(hit[:, 2].tolist()) == {staged.truths[0].keys["sample"]}
    assert staged.truths[0].as_json()["keys"]["sample"] == 21


def test_a_spike_that_is_stronger_than_the_range_ends_at_it(play):
    _, spoilt = play("spike@37:1e7")
    parts = samples(spoilt).view(np.float32)
    assert np.abs(parts).max() == 1.0


def test_a_saturated_line_has_several_samples_at_the_end_of_the_range(play):
    staged, spoilt = play("saturate@37:4")
    one = next(one for one in spoilt if counters([one]) == staged.truths[0].readouts)
    assert (np.abs(one.samples.view(np.float32)) == 1.0).sum() >= 3


@pytest.mark.parametrize(("asked", "decibel"), [("gain_drop@0:6,coil=1", 6), ("dead_coil,coil=1", 60)])
def test_a_gain_falls_by_so_many_decibels(asked, decibel, play):
    _, clean = play()
    staged, spoilt = play(asked)
    rows = np.array(staged.truths[0].readouts) - 1
    ratio = std(samples(spoilt)[rows, 1].ravel()) / std(samples(clean)[rows, 1].ravel())
    assert 20 * np.log10(ratio) == pytest.approx(-decibel, abs=1e-3)


def test_a_gain_that_drops_in_mid_scan_leaves_the_noise_scan_alone(play):
    staged, _ = play("gain_drop")
    assert min(staged.truths[0].readouts) > 16
    assert staged.played.plan["kind"][np.array(staged.truths[0].readouts) - 1].min() > Kind.NOISE


@pytest.mark.parametrize("name", ["dead_coil", "detuned_coil", "noisy_coil", "noise_rise", "zipper", "swapped_coils"])
def test_what_a_noise_scan_can_show_spoils_it_too(name, play):
    staged, _ = play(name)
    noise_scan = np.flatnonzero(staged.played.plan["kind"] == Kind.NOISE) + 1
    assert set(noise_scan) <= set(staged.truths[0].readouts)


def test_a_detuned_coil_loses_signal_and_patient_noise_but_not_the_noise_of_its_receiver(play):
    clean_stage, clean = play(**LONG_NOISE)
    staged, spoilt = play("detuned_coil:6,coil=4", **LONG_NOISE)
    kept = 10 ** (-6 / 10)
    ratio = std(noise(staged, spoilt)) / std(noise(clean_stage, clean))
    assert ratio[4] == pytest.approx((kept * (1 - OWN_NOISE) + OWN_NOISE) ** 0.5, rel=0.02)
    assert np.array_equal(np.delete(ratio, 4), np.ones(COILS - 1))
    strongest = np.unravel_index(np.abs(samples(clean)[:, 4]).argmax(), samples(clean)[:, 4].shape)
    signal = abs(samples(spoilt)[:, 4][strongest] / samples(clean)[:, 4][strongest])
    assert signal == pytest.approx(kept**0.5, rel=0.05)


def test_a_noisy_coil_is_noisier_by_the_factor_asked_for_and_alone(play):
    clean_stage, clean = play(**LONG_NOISE)
    staged, spoilt = play("noisy_coil:5,coil=4", **LONG_NOISE)
    ratio = std(noise(staged, spoilt)) / std(noise(clean_stage, clean))
    assert ratio[4] == pytest.approx(5, rel=0.03)
    assert np.array_equal(np.delete(ratio, 4), np.ones(COILS - 1))


def test_rising_noise_keeps_the_shape_of_its_covariance(play):
    staged, spoilt = play("noise_rise:3", **LONG_NOISE)
    flat = noise(staged, spoilt)
    frontend = staged.played.frontend
    wanted = 9 * frontend.covariance * (frontend.gain * frontend.noise_std) ** 2
    measured = flat @ flat.conj().T / flat.shape[1]
    assert np.abs(measured - wanted).max() < 0.05 * np.abs(wanted).max()


def test_swapped_coils_are_each_other(play):
    _, clean = play()
    _, spoilt = play("swapped_coils,coil=1,with=5")
    assert np.array_equal(samples(spoilt)[:, [1, 5]], samples(clean)[:, [5, 1]])


def test_a_zipper_is_one_wave_through_all_readouts_at_its_frequency_and_strength(play):
    _, clean = play()
    staged, spoilt = play("zipper:4,hz=3000")
    head = staged.played.headers[0]
    added = samples(spoilt) - samples(clean)
    along = np.arange(added.shape[2]) - int(head["center_sample"])
    seconds = np.arange(len(added))[:, None] * 0.02 + along * float(head["sample_time_us"]) * 1e-6
    still = added * np.exp(-2j * np.pi * 3000 * seconds)[:, None]
    mean = still.mean(axis=(0, 2))
    assert np.abs(mean) == pytest.approx(4 * staged.played.frontend.sigma, rel=1e-2)
    assert np.abs(still - mean[:, None]).max() < 1e-2 * np.abs(mean).max()


def test_a_drifting_field_turns_phase_at_the_echo_and_along_the_readout(play):
    _, clean = play(snr=None, te_ms=4.0)
    staged, spoilt = play("b0_drift@1.0s:200", snr=None, te_ms=4.0)
    head = staged.played.headers[0]
    centre, dwell_s = int(head["center_sample"]), float(head["sample_time_us"]) * 1e-6
    for row in (49, 50, 60, 75):
        hertz = 200 * max(row - 49, 0) * 0.02
        turn = np.exp(2j * np.pi * hertz * (4e-3 + (np.arange(64) - centre) * dwell_s))
        assert np.allclose(samples(spoilt)[row], samples(clean)[row] * turn, atol=1e-6)


def test_phase_jumps_with_the_standard_deviation_asked_for_and_magnitude_stays(play):
    _, clean = play(snr=None, slices=8)
    staged, spoilt = play("phase_instability:20", snr=None, slices=8)
    rows = np.array(staged.truths[0].readouts) - 1
    turn = np.array([np.vdot(a, b) for a, b in zip(samples(clean)[rows], samples(spoilt)[rows], strict=True)])
    assert np.degrees(np.angle(turn)).std() == pytest.approx(20, rel=0.15)
    assert np.allclose(np.abs(samples(clean)), np.abs(samples(spoilt)), atol=1e-6)


def test_faults_come_one_after_another_and_each_has_its_own_truth(play):
    _, clean = play()
    staged, spoilt = play("gain_drop@0s:6", "lose_line@37", "spike@37:10")
    gain, lost, spike = staged.truths
    assert len(gain.readouts) == len(staged.played.plan)
    assert (lost.lines, spike.lines, spike.began_s) == ({1: [5]}, {}, None)
    kept = np.array(counters(spoilt)) - 1
    assert np.allclose(samples(spoilt), samples(clean)[kept] * 10 ** (-6 / 20))


def test_a_scan_with_faults_can_be_played_again_and_is_the_same(play):
    staged, first = play("noisy_coil", "lose_line", "late_line", "zipper", "motion")
    told = [truth.as_json() for truth in staged.truths]
    again = list(singly(staged.stream()))
    assert np.array_equal(samples(first), samples(again))
    assert [truth.as_json() for truth in staged.truths] == told


def test_only_what_is_spoilt_is_copied(play):
    staged, _ = play()
    whole = list(staged.played.readouts())
    spoilt = stage(SCANNER, staged.played.source.simulate, Order("test"), [ask("spike@37:10")])
    parts = list(spoilt.node()(iter(whole)))
    copied = [part for part in parts if not any(np.shares_memory(part.samples, block.samples) for block in whole)]
    assert [len(part.headers) for part in copied] == [1]
    assert sum(len(part.headers) for part in parts) == len(staged.played.plan)


@pytest.mark.parametrize("name", ["spike", "noisy_coil", "noise_rise", "zipper"])
def test_a_strength_in_units_of_noise_wants_noise(name, play):
    with pytest.raises(SimulationError, match=rf"{name}: its strength counts .* snr = 60.0"):
        play(name, snr=None)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("noisy_coil,coil=6", "got coil=6, wanted 0 to 5"),
        ("spike@64", "has 64 imaging readouts, wanted 0 to 63"),
        ("motion@9s", r"the scan lasts 1.68 s. Try motion@50%"),
        ("spike,sample=64", "got sample=64, wanted 0 to 63"),
        ("cut@50%", "wanted a plain number as its place. Try cut@1000"),
    ],
)
def test_a_fault_that_does_not_fit_the_scan_says_what_would(asked, told, play):
    with pytest.raises(SimulationError, match=told):
        play(asked)
