"""Laws of spikes: those ten noise standard deviations above the local signal are found, and nothing else is."""

from pathlib import Path

import numpy as np
import pytest

from engines.quality.spikes import find_spikes, mend, predictor
from hw_sim.replay import read_recording
from protocols.header import parse_header
from tests.engines.coils import noise_like
from tests.engines.quality.readouts import chosen, clean, scanned

DATA = Path(__file__).parents[4] / "shared" / "data" / "mrd"
SPARKING = "gre3echo_prisma"


def planted(seed, strength=10.0, *, ends=False, **how):
    """A scan with one spike in every readout, so much above the largest of the five samples around it."""
    samples = scanned(seed, **how)
    readout, coil, sample, phase = chosen(seed + 1000, samples.shape)
    if ends:
        sample = np.array([0, 1, samples.shape[2] - 2, samples.shape[2] - 1])[sample % 4]
    around = np.clip(sample[:, None] + np.arange(-2, 3), 0, samples.shape[2] - 1)
    local = np.abs(clean(**how)[readout[:, None], coil[:, None], around]).max(axis=1)
    samples[readout, coil, sample] = (local + strength) * phase
    return samples, (readout, coil, sample, phase)


def found_of(samples, where, weights):
    spikes = find_spikes(samples, weights)
    got = set(zip(spikes.readout.tolist(), spikes.coil.tolist(), spikes.sample.tolist(), strict=True))
    put = set(zip(*(axis.tolist() for axis in where[:3]), strict=True))
    return len(got & put), len(got - put)


def test_in_oversampled_readouts_99_of_100_spikes_are_found_at_their_place_and_nothing_beside_them():
    counts = [found_of(*planted(seed), predictor(0.5)) for seed in range(12)]
    hits, wrong = np.sum(counts, axis=0)
    assert hits >= 0.99 * 12 * 128
    assert wrong == 0


def test_spikes_in_the_first_and_last_two_samples_are_found_as_well_where_signal_is_not_much_more_than_noise():
    hits, wrong = np.sum([found_of(*planted(seed, ends=True), predictor(0.5)) for seed in range(6)], axis=0)
    assert hits >= 0.99 * 6 * 128
    assert wrong == 0


def test_in_thousands_of_clean_readouts_nothing_is_found():
    assert sum(len(find_spikes(scanned(seed), predictor(0.5))) for seed in range(12)) == 0
    assert sum(len(find_spikes(scanned(seed, oversampling=1), predictor(1.0))) for seed in range(12)) == 0


def test_beside_a_peak_a_thousand_times_the_noise_signal_is_no_spike_and_spikes_are_found_at_the_ends_too():
    bright = {"snr": 1000.0}
    assert sum(len(find_spikes(scanned(seed, **bright), predictor(0.5))) for seed in range(8)) == 0
    counts = [found_of(*planted(seed, **bright), predictor(0.5)) for seed in range(8)]
    hits, wrong = np.sum(counts, axis=0)
    assert hits >= 0.975 * 8 * 128
    assert wrong <= 2


def test_without_oversampling_spikes_are_found_where_the_signal_is_weaker_than_the_noise():
    hits = total = 0
    for seed in range(12):
        samples, where = planted(seed, oversampling=1)
        quiet = np.abs(clean(oversampling=1)[where[0], where[1]]).max(axis=1) < 1.0
        total += quiet.sum()
        hits += found_of(samples[quiet], (np.arange(quiet.sum()), *(axis[quiet] for axis in where[1:])), predictor(1))[
            0
        ]
    assert total > 100
    assert hits >= 0.99 * total


def test_the_excess_is_the_height_of_the_spike_in_units_of_the_noise():
    samples = noise_like((64, 4, 256)) * np.float32(0.003)
    samples[7, 2, 100] += 0.003 * 30
    (excess,) = find_spikes(samples, predictor(0.5)).excess
    assert excess == pytest.approx(30, rel=0.2)


def test_a_mended_sample_is_as_near_to_the_truth_as_noise_lets_it_and_all_others_stay():
    samples, where = planted(3, strength=300.0)
    mended = mend(samples, find_spikes(samples, predictor(0.5)))
    readout, coil, sample, _ = where
    inner = (sample > 8) & (sample < 248)
    error = np.abs(mended - clean())[readout, coil, sample][inner]
    assert np.sqrt(np.mean(error**2)) < 2.0
    untouched = np.ones(samples.shape, bool)
    untouched[readout, coil, sample] = False
    np.testing.assert_array_equal(mended[untouched], samples[untouched])


def test_a_predictor_foresees_any_signal_inside_its_part_of_the_field_of_view_better_than_noise_does():
    weights = predictor(0.5).near
    samples = clean()[64]
    inner = samples[:, 7:-7]
    sides = [samples[:, 7 - d : 249 - d] + samples[:, 7 + d : samples.shape[1] - 7 + d] for d in range(1, 8)]
    missed = np.abs(inner - np.tensordot(weights, np.stack(sides), 1))
    assert missed.max() < 0.05 * np.abs(inner).max()


@pytest.mark.parametrize("filled", [0.5, 1.0])
def test_readouts_that_are_zero_or_padded_with_zeros_or_very_short_hold_no_spikes(filled):
    assert len(find_spikes(np.zeros((3, 2, 256), np.complex64), predictor(filled))) == 0
    padded = scanned(1)
    padded[..., :100] = 0
    assert len(find_spikes(padded, predictor(filled))) == 0
    assert len(find_spikes(noise_like((4, 2, 3)), predictor(filled))) == 0


@pytest.mark.skipif(not DATA.exists(), reason=f"real raw data is not here ({DATA})")
def test_real_scans_have_no_spikes_but_one_whose_first_echo_sparks_in_single_samples_upon_noise():
    found = {}
    for path in sorted(DATA.glob("*.h5")):
        recording = read_recording(path)
        encoding = parse_header(recording.xml).encodings[0]
        if encoding.trajectory != "cartesian" or encoding.encoded_matrix[0] < 8:
            continue
        samples = np.concatenate([batch.samples for batch in recording.readouts()])
        spikes = find_spikes(samples, predictor(encoding.recon_fov_mm[0] / encoding.encoded_fov_mm[0]))
        if len(spikes):
            found[path.stem] = (spikes, samples, recording.headers["idx"]["contrast"])
    assert list(found) == [SPARKING]
    spikes, samples, echo = found[SPARKING]
    assert len(spikes) == 12
    assert not echo[spikes.readout].any()  # of three echoes; chance would spread them
    for step in (-1, 1):
        beside = np.abs(samples[spikes.readout, 0, spikes.sample + step])
        assert (beside < 0.4 * np.abs(samples[spikes.readout, 0, spikes.sample])).all()
