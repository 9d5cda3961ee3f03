from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import pytest

from hw_sim.errors import SimulationError
from hw_sim.link import Session, play
from hw_sim.replay import read_recording

REAL = Path(__file__).parents[3] / "shared" / "data" / "mrd" / "brain16_r3_siemensflags.h5"


def acquisition(n, coils=3, samples=16):
    made = ismrmrd.Acquisition()
    made.resize(samples, coils)
    made.scan_counter = n + 1
    made.acquisition_time_stamp = 1000 + 2 * n
    made.idx.kspace_encode_step_1 = n
    made.data[:] = np.random.default_rng(n).normal(size=(coils, samples)) + 1j * n
    return made


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "raw.h5"
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    dataset.write_xml_header(b"<ismrmrdHeader/>")
    for n in range(6):
        dataset.append_acquisition(acquisition(n, samples=16 if n < 4 else 8))
    dataset.close()
    return path


def test_a_recording_is_read_in_runs_of_one_layout(file):
    batches = list(read_recording(file).readouts())
    assert [batch.samples.shape for batch in batches] == [(4, 3, 16), (2, 3, 8)]
    for n in range(6):
        batch, row = (batches[0], n) if n < 4 else (batches[1], n - 4)
        wanted = acquisition(n, samples=16 if n < 4 else 8)
        assert np.array_equal(batch.samples[row], wanted.data)
        assert batch.headers[row].tobytes() == bytes(wanted.getHead())


def test_what_leaves_is_byte_for_byte_what_the_file_holds(file, peer):
    recording = read_recording(file)
    result = play(Session("127.0.0.1", peer.port), recording.xml, recording.paced("max"))
    assert result.errors == []
    sent = [row for batch in peer.samples for row in batch]
    with h5py.File(file) as stored:
        rows = stored["dataset/data"]["data"]
    assert [row.tobytes() for row in sent] == [row.tobytes() for row in rows]


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data/mrd is not there")
def test_a_real_scan_leaves_byte_for_byte(peer):
    recording = read_recording(REAL)
    play(Session("127.0.0.1", peer.port), recording.xml, recording.paced("max"))
    with h5py.File(REAL) as stored:
        rows = stored["dataset/data"]["data"]
    assert np.concatenate(peer.samples).tobytes() == np.concatenate(list(rows)).tobytes()
    assert "ismrmrdHeader" in recording.xml


def test_recorded_pace_follows_the_time_stamps(file):
    assert [due for due, _ in read_recording(file).paced("recorded")] == [n * 5_000_000 for n in range(6)]


def test_a_pace_in_ms(file):
    assert [due for due, _ in read_recording(file).paced("2.5")] == [n * 2_500_000 for n in range(6)]


@pytest.mark.parametrize("pace", ["fast", "-1", "nan", "0"])
def test_a_pace_that_is_none_is_refused(file, pace):
    with pytest.raises(SimulationError, match="wanted recorded, max or a TR in ms"):
        read_recording(file).paced(pace)


def test_a_file_that_is_not_there_not_hdf5_or_not_raw_data_is_one_clear_error(tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    empty = tmp_path / "empty.h5"
    with h5py.File(empty, "w") as file:
        file.create_group("images")
    bare = tmp_path / "bare.h5"
    with h5py.File(bare, "w") as file:
        file.create_group("dataset/image_1")
    for path, why in [
        (tmp_path / "absent.h5", "no such file"),
        (text, "not a readable HDF5 file"),
        (empty, "no group 'dataset'; it has images"),
        (bare, "group 'dataset' has no 'xml', it has image_1"),
    ]:
        with pytest.raises(SimulationError, match=why):
            read_recording(path)


def test_samples_that_do_not_fit_their_header_are_refused(file):
    with h5py.File(file, "r+") as stored:
        rows = stored["dataset/data"][:]
        rows["head"]["active_channels"] = 5
        stored["dataset/data"][:] = rows
    with pytest.raises(SimulationError, match="5 coils x 16 samples"):
        list(read_recording(file).readouts())
