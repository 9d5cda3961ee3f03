"""Laws of archive: what came can be read back, to the byte; a disk that fails costs a flag and no message."""

import h5py
import ismrmrd
import numpy as np

from gadgets.archive import archive
from protocols.events import Flag
from tests.making import context, readouts

XML = (
    '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><experimentalConditions>'
    "<H1resonanceFrequency_Hz>1</H1resonanceFrequency_Hz></experimentalConditions></ismrmrdHeader>"
)


def test_every_readout_can_be_read_back_by_the_ismrmrd_package(tmp_path):
    sent = [readouts(range(3)), readouts([3]), readouts(range(4, 8))]
    got = list(archive(context(archive=tmp_path / "raw", session="c1", xml=XML))(iter(sent)))
    assert got == sent
    (path,) = (tmp_path / "raw").iterdir()
    assert path.name.endswith("_c1.h5")
    with ismrmrd.Dataset(str(path), "dataset", create_if_needed=False) as file:
        assert file.read_xml_header().decode() == XML
        assert file.number_of_acquisitions() == 8
        back = [file.read_acquisition(n) for n in range(8)]
    np.testing.assert_array_equal([a.data for a in back], np.concatenate([m.samples for m in sent]))
    assert [a.idx.kspace_encode_step_1 for a in back] == list(range(8))
    with h5py.File(path) as file:
        assert file["dataset"].attrs["complete"]


def test_a_copy_is_archived_so_that_the_receive_buffer_may_be_reused(tmp_path):
    batch = readouts(range(2))
    before = batch.samples.copy()

    def source():
        yield batch
        batch.samples[:] = 0

    list(archive(context(archive=tmp_path))(source()))
    (path,) = tmp_path.iterdir()
    with h5py.File(path) as file:
        np.testing.assert_array_equal(
            np.stack(file["dataset/data"]["data"]).view(np.complex64).reshape(2, 2, 8), before
        )


def test_a_disk_that_is_too_slow_stops_the_archive_with_one_flag_and_lets_every_message_pass(tmp_path):
    sent = [readouts(range(8)) for _ in range(5)]
    got = list(archive(context(archive=tmp_path), queue_mib=0)(iter(sent)))
    assert [m for m in got if not isinstance(m, Flag)] == sent
    assert [m.code for m in got if isinstance(m, Flag)] == ["archive_incomplete"]


def test_a_folder_that_cannot_be_made_is_one_flag_and_lets_every_message_pass(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    sent = [readouts(range(8))]
    got = list(archive(context(archive=tmp_path / "file"))(iter(sent)))
    assert [m for m in got if not isinstance(m, Flag)] == sent
    assert [m.code for m in got if isinstance(m, Flag)] == ["archive_incomplete"]
