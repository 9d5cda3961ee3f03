"""However the patient lies: a 3-D scout, what networks prescribe of it, the console's answer, and the scan there."""

import re

import numpy as np
import pytest

from gadgets.console import Site
from gadgets.serve import ServeOptions, running
from hw_sim.devices import Pose
from hw_sim.exam import Sending, load_exam, run_exam
from hw_sim.head import mni_head
from hw_sim.open_desk import BY_BUS, BY_MRD, open_desk
from hw_sim.planned import measured
from hw_sim.plugin import Address
from hw_sim.truth import true_stack
from protocols.geometry import grid_of, patient_from_device, pixel_from_lps
from protocols.scan_protocol import find
from protocols.stack import apart
from tests.making import changed_protocol

POSE = Pose((10.0, -4.0, -5.0), (8.0, -5.0, 12.0))
TABLE_MM = 12.0
EXAM = """title = "A patient who lies {position}"
[patient]
body = "mni"
position = "{position}"
turn_deg = {turn}
shift_mm = {shift}
[array]
coils = 8
[[scans]]
protocol = "{scout}"
table_mm = {table}
[[scans]]
protocol = "{folder}/brain_gre_r4.toml"
prescribed = "brain_axial"
"""


def fixed_to_the_scanner(path, position, folder):
    """The scout as it lies about a patient HFS, whoever lies there now: its directions in LPS are others, then."""
    simulate = find("scout_3d").simulate.orientation
    directions = {name: getattr(simulate, name) for name in ("read", "phase", "slice")}
    turned = {name: patient_from_device(np.array(xyz), position).tolist() for name, xyz in directions.items()}
    line = f"orientation = {{ {', '.join(f'{name} = {xyz}' for name, xyz in turned.items())} }}"
    text, count = re.subn(r"(?m)^orientation = .*$", line, path.read_text(encoding="utf-8"))
    assert count == 1
    made = folder / path.name
    made.write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def examine(tmp_path_factory):
    """Run an exam of a patient in a position: the scout, and the scan where it was prescribed."""
    out = tmp_path_factory.mktemp("positions")
    folder = out / "protocols"
    folder.mkdir()
    changed_protocol(folder, "scout_3d", ("locate", "locate = 60000.0"))
    small = ("matrix", "matrix = [32, 32]"), ("slices", "slices = 2"), ("calibration_lines", "calibration_lines = 16")
    changed_protocol(folder, "brain_gre_r4", *small)
    with open_desk() as desk:
        site = Site(desk.address, end_s=60.0)
        with running(ServeOptions(port=0, protocols=(folder,), console=site)) as server:
            sending = Sending(
                Address("127.0.0.1", server.port, server.bus_address), virtual_time=True, desk=desk, silence_s=100.0
            )

            def examine(position):
                (out / position).mkdir()
                scout = fixed_to_the_scanner(folder / "scout_3d.toml", position, out / position)
                path = out / f"{position}.toml"
                given = {"turn": [*POSE.turn_deg], "shift": [*POSE.shift_mm], "table": TABLE_MM, "scout": scout}
                text = EXAM.format(position=position, folder=folder, **given)
                path.write_text(text, encoding="utf-8")
                return run_exam(load_exam(str(path)), sending, out / position, lambda *_: None)

            yield examine


def asked(scout):
    return {one.plan: one for one in scout.result.prescriptions}


def off(stack, true):
    """How far a stack is off the true one along its normal, its planes are tilted, its directions are turned."""
    along_mm = np.subtract(stack.centre_mm, true.centre_mm) @ np.array(true.slice_dir)
    tilt_deg = np.degrees(np.arccos(np.clip(np.dot(stack.slice_dir, true.slice_dir), -1, 1)))
    return abs(float(along_mm)), float(tilt_deg), apart(stack, true).turn_deg


def brightness(images, place_mm):
    """Of the pixel at a place, in the image whose plane is nearest."""
    grids = [grid_of(image.header) for image in images]
    away = [abs(float(np.subtract(place_mm, grid.position_mm) @ np.array(grid.slice_dir))) for grid in grids]
    nearest = int(np.argmin(away))
    x, y, z = np.rint(pixel_from_lps(grids[nearest], np.array(place_mm))).astype(int)
    pixels = np.abs(images[nearest].pixels[0])
    return float(pixels[z if len(pixels) > 1 else 0, y, x]) / float(pixels.max())


def capsule(side, position):
    """Where the capsule of gel lies that marks the right temple, or where it would lie on the left one."""
    head = mni_head()
    x, y, z = (head.affine @ np.append(np.argwhere(head.fractions[-1]).mean(axis=0), 1.0))[:3]
    towards_head = 1.0 if position.startswith("H") else -1.0
    place = POSE.from_patient(np.array((x if side == "right" else -x, y, z)))
    return place + np.array((0.0, 0.0, towards_head * TABLE_MM))


@pytest.mark.parametrize("position", ["HFP", "HFDR", "HFDL", "FFS", "FFP"])
def test_slices_lie_where_they_should_and_right_is_right(examine, position):
    scout, scan = examine(position)
    assert [one.result.errors for one in (scout, scan)] == [[], []]
    made = asked(scout)
    assert np.argmax(np.abs(scout.images[0].header["slice_dir"])) == (1 if "D" in position else 0)
    # The frame of AC and PC is that of reference poses, which is 4 degrees about L from the MNI head's own two points.
    for plan, limits in {"midline_sagittal": (1.0, 1.0, 5.0), "hippocampus_coronal": (2.0, 1.5, 1.5)}.items():
        assert (made[plan].status, made[plan].patient_position) == ("OK", position)
        found = off(made[plan].stack, true_stack("mni", plan, POSE, TABLE_MM, position))
        assert all(np.less(found, limits)), (plan, found)
    assert scan.planned.way == f"{BY_BUS}, and {BY_MRD}"
    assert not apart(made["brain_axial"].stack, measured(scan.images)).beyond(0.2, 0.1)
    flags = {flag.code: flag.severity.value for flag in scan.result.flags}
    assert (flags["prescription"], flags["displaced"]) == ("PASS", "PASS")
    for images in (scout.images, scan.images):
        right, left = (brightness(images, capsule(side, position)) for side in ("right", "left"))
        assert right > 3 * left
