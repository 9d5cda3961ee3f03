import json

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from hw_sim.cli import app
from hw_sim.coils import head_array
from hw_sim.errors import SimulationError
from hw_sim.exam import Sending, exam_names, load_exam, run_exam, run_scan, sequence_of
from hw_sim.faults import FAULTS, ask, stage
from hw_sim.open_desk import BY_MRD
from hw_sim.paperwork import Order
from hw_sim.phantom import ASYMMETRIC
from hw_sim.plugin import Address, started
from hw_sim.scanner import Scanner
from protocols.events import Prescription
from protocols.header import parse_header
from protocols.messages import Feedback, Header
from protocols.prescription import NAME, encode
from protocols.scan_protocol import find
from protocols.stack import Stack

RUN = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
SMALL = """name = "{name}"
title = "Small"
[chain]
order = ["{node}"]
[simulate]
matrix = [32, 32]
noise_readouts = 4
"""
PRESCRIBED = 'protocol = "{folder}/small.toml"\nprescribed = "brain_axial"'
SCOUT = 'protocol = "{folder}/small_scout.toml"'
STACK = Stack(
    centre_mm=(0.0, 0.0, 30.0), read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1),
    field_of_view_mm=(230.0, 230.0), thickness_mm=4.0, slices=1,
)  # fmt: skip
DOUBTED = Prescription(
    id="00000000000000ab", status="REVIEW", reasons=("low_snr: it is 3.0", "coverage: no"), plan="brain_axial",
    patient_position="HFS", stack=STACK,
)  # fmt: skip


def nothing(name, done, of):
    pass


def exam_of(folder, peer, *scans):
    """Play an exam of small scans to a peer that prescribes in the first of them, and nothing afterwards."""
    for name, node in (("small", "finish"), ("small_scout", "locate")):
        (folder / f"{name}.toml").write_text(SMALL.format(name=name, node=node), encoding="utf-8")
    steps = "".join(f"[[scans]]\n{scan.format(folder=folder)}\n" for scan in scans)
    text = f'title = "Small"\n[patient]\nbody = "phantom"\n[array]\ncoils = 4\n{steps}'
    (folder / "exam.toml").write_text(text, encoding="utf-8")
    peer.clients = len(scans)
    peer.says = [Feedback(NAME, encode(DOUBTED))]
    sending = Sending(Address("127.0.0.1", peer.port), virtual_time=True)
    return run_exam(load_exam(str(folder / "exam.toml")), sending, folder / "out", nothing)


def z_mm(shown):
    return shown.simulate.centre_mm[2]


def test_the_newest_scout_decides_also_where_it_prescribes_nothing(peer, tmp_path):
    shown = exam_of(tmp_path, peer, SCOUT, PRESCRIBED, SCOUT, PRESCRIBED)
    assert [z_mm(scan) for scan in shown] == [0, 30, 0, 0]
    told = "no prescription of brain_axial came of the newest scout, 3_small_scout: the default planes are measured"
    assert shown[3].planned.said == (told,)
    assert told in (tmp_path / "out" / "index.html").read_text()


def test_the_console_says_how_sure_the_plugin_is_of_what_it_accepts(peer, tmp_path):
    _, scan = exam_of(tmp_path, peer, SCOUT, PRESCRIBED)
    told = "prescription 00000000000000ab of brain_axial accepted (it is REVIEW: low_snr: it is 3.0)"
    assert scan.planned.said == (told,)
    assert scan.planned.way == BY_MRD  # a plugin that runs already was not told where to ask
    assert told in (tmp_path / "out" / "index.html").read_text()


def test_an_override_sticks_until_the_console_decides_otherwise(peer, tmp_path):
    override, accept = (f'{PRESCRIBED}\ndecide = "{decision}"' for decision in ("override", "accept"))
    _, first, kept, accepted, last = exam_of(tmp_path, peer, SCOUT, override, PRESCRIBED, accept, PRESCRIBED)
    assert [z_mm(scan) for scan in (first, kept, accepted, last)] == [35, 35, 30, 30]
    assert kept.planned.said[0] == "the override of an earlier scan sticks"
    assert "overridden: the operator knows better" in kept.planned.said[1]
    assert len(last.planned.said) == 1


@pytest.mark.parametrize("name", exam_names())
def test_every_exam_names_scan_protocols_that_can_be_played(name):
    for step in load_exam(name).scans:
        protocol, simulate = sequence_of(step.protocol)
        assert protocol.name == step.protocol
        assert simulate.matrix


def test_an_unknown_exam_or_a_typo_in_one_says_what_was_wanted(tmp_path):
    with pytest.raises(SimulationError, match=r"no exam called 'foot'. Known: head"):
        load_exam("foot")
    path = tmp_path / "exam.toml"
    path.write_text('title = "x"\n[array]\ncoil = 3\n[[scans]]\nprotocol = "scout"\n')
    with pytest.raises(SimulationError, match=r"array.coil"):
        load_exam(str(path))
    path.write_text("title = ")
    with pytest.raises(SimulationError, match=r"exam.toml: Invalid value"):
        load_exam(str(path))
    with pytest.raises(SimulationError, match="No such file"):
        load_exam(str(tmp_path / "absent.toml"))


def test_a_scan_protocol_without_a_sequence_cannot_be_played():
    with pytest.raises(SimulationError, match=r"no \[simulate\] table"):
        sequence_of("cartesian")


def test_an_exam_leaves_a_page_with_everything_it_brought(peer, tmp_path):
    path = tmp_path / "exam.toml"
    path.write_text('title = "Small"\n[patient]\nbody = "phantom"\n[array]\ncoils = 4\n[[scans]]\nprotocol = "scout"\n')
    out = tmp_path / "out"
    told = []
    sending = Sending(Address("127.0.0.1", peer.port), virtual_time=True)
    (shown,) = run_exam(load_exam(str(path)), sending, out, lambda name, done, of: told.append((name, done, of)))
    assert shown.result.errors == []
    assert shown.result.missing == []
    header = parse_header(next(kept.xml for kept in peer.kept if isinstance(kept, Header)))
    assert header.protocol_name == "scout"
    assert len(shown.result.images) == header.encodings[0].limits["slice"].maximum + 1
    assert ("scout", len(shown.result.images) * 128 + 16, len(shown.result.images) * 128 + 16) in told
    assert {file.name for file in out.iterdir()} == {"1_scout", "flags.json", "latency.png", "index.html"}
    assert json.loads((out / "flags.json").read_text()) == []


def test_a_fault_on_the_wire_reaches_the_peer_and_is_told(peer, simulate):
    staged = stage(Scanner(ASYMMETRIC, head_array(4)), simulate(), Order("test"), [ask("lose_line@5")])
    result = run_scan(staged, "test", Sending(Address("127.0.0.1", peer.port), virtual_time=True), nothing)
    assert result.readouts == len(staged.played.plan) - 1
    assert staged.truths[0].lines == {0: [5]}


def test_an_exam_with_faults_keeps_their_truth_beside_its_images_and_on_its_page(peer, tmp_path):
    path = tmp_path / "exam.toml"
    scan = 'protocol = "scout"\nfaults = ["dead_coil,coil=1", "lose_line@7"]\n'
    path.write_text(f'title = "Bad"\n[patient]\nbody = "phantom"\n[array]\ncoils = 4\n[[scans]]\n{scan}')
    out = tmp_path / "out"
    (shown,) = run_exam(load_exam(str(path)), Sending(Address("127.0.0.1", peer.port), virtual_time=True), out, nothing)
    dead, lost = json.loads((out / "1_scout" / "truth.json").read_text())
    assert (dead["fault"], dead["coils"], dead["strength"], dead["unit"]) == ("dead_coil", [1], 60, "dB")
    assert lost["lines"] == {"0": [[7, 7]]}
    assert dead["readouts"] == [[1, shown.result.readouts + 1]]
    page = (out / "index.html").read_text()
    assert all(str(truth) in page for truth in shown.truths)


def test_a_fault_that_nobody_knows_stops_an_exam_before_it_begins(tmp_path):
    path = tmp_path / "exam.toml"
    path.write_text('title = "x"\n[[scans]]\nprotocol = "scout"\nfaults = ["spikes"]\n')
    with pytest.raises(SimulationError, match="Did you mean 'spike'"):
        run_exam(load_exam(str(path)), Sending(Address("127.0.0.1", 1)), tmp_path, nothing)


def test_the_plugin_is_a_process_that_says_where_it_listens_and_ends_with_the_block(tmp_path):
    with started(tmp_path / "log") as address:
        assert address.port > 0
        assert address.bus is not None
    with pytest.raises(SimulationError, match="ended before it was ready"), started(tmp_path / "log", "--nonsense"):
        pass


def test_a_scan_to_nobody_ends_with_one_line_and_code_1():
    ran = RUN.invoke(app, ["replay", "nothing.h5"])
    assert ran.exit_code == 1
    assert ran.stderr.strip() == "scanside-sim: nothing.h5: no such file"
    ran = RUN.invoke(app, ["exam", "head", "--connect", "here"])
    assert ran.exit_code == 1
    assert "wanted HOST:PORT" in ran.stderr


def test_the_list_of_faults_has_them_all_with_units_and_keys():
    ran = RUN.invoke(app, ["faults"])
    for name, fault in FAULTS.items():
        row = next(line for line in ran.stdout.splitlines() if f" {name} " in line)
        assert fault.unit in row
        assert all(f"{key}=" in row for key in list(fault.keys)[:1])
        assert all(f"{key}: " in ran.stdout for key in fault.keys)


def test_a_fault_that_cannot_be_read_ends_a_scan_before_it_begins_with_one_line():
    ran = RUN.invoke(app, ["scan", "scout", "--fault", "dead_coil", "--fault", "motion:3deg"])
    assert ran.exit_code == 1
    assert ran.stderr.strip() == "scanside-sim: motion:3deg: strength: got '3deg', wanted a number of mm"


def test_a_patient_who_is_no_head_ends_an_exam_with_one_line(tmp_path):
    body = tmp_path / "dark.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)), body)
    path = tmp_path / "exam.toml"
    path.write_text(f'title = "x"\n[patient]\nbody = "{body}"\n[[scans]]\nprotocol = "scout"\n')
    ran = RUN.invoke(app, ["exam", str(path), "--connect", "127.0.0.1:1", "--out", str(tmp_path / "out")])
    assert ran.exit_code == 1
    wanted = f"scanside-sim: {body}: none of (8, 8, 8) voxels is above 0, wanted a head that is bright on dark"
    assert ran.stderr.strip() == wanted


@pytest.mark.parametrize("command", ["exam", "scan", "replay", "console", "faults"])
def test_every_command_explains_itself(command):
    assert f"scanside-sim {command}" in RUN.invoke(app, ["--help"]).stdout
    assert RUN.invoke(app, [command, "--help"]).exit_code == 0


def test_an_unknown_scan_protocol_is_refused_with_what_is_known(tmp_path):
    ran = RUN.invoke(app, ["scan", "brain_gre_r5", "--out", str(tmp_path)])
    assert ran.exit_code == 1
    assert find("brain_gre_r4").name in ran.stderr
