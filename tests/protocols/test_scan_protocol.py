"""Scan protocols: whoever makes mistakes is told all of them, and no scan gets another chain than the one meant."""

import hashlib
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import scan_protocol
from protocols.header import parse_header
from protocols.problems import ProtocolError, line_of
from protocols.scan import Encoding, Limit, Scan

SHIPPED = (
    "brain_gre_averaged",
    "brain_gre_r4",
    "brain_gre_r4_navigated",
    "brain_gre_r4_network",
    "brain_live_r4",
    "cartesian",
    "cartesian_grappa",
    "cartesian_live",
    "scout",
    "scout_3d",
    "scout_head",
    "siemens_product",
    "weekly_phantom",
)
SMALL = """name = "small"
title = "A small one"

[chain]
order = ["accumulate", "finish"]

[chain.finish]
pixels = "float32"

[limits.snr]
value = 5
direction = "min"
unit = "1"

[deadlines]
image = 50.0
"""


def encoding(**changes):
    plain = Encoding(
        trajectory="cartesian",
        encoded_matrix=(256, 128, 1),
        encoded_fov_mm=(480.0, 240.0, 5.0),
        recon_matrix=(128, 128, 1),
        recon_fov_mm=(240.0, 240.0, 5.0),
        limits={"repetition": Limit(0, 0, 0)},
    )
    return replace(plain, **changes)


def scan(name="", vendor="", **changes):
    return Scan(encodings=(encoding(**changes),), coils=16, protocol_name=name, system_vendor=vendor)


def problems_of(text, where="small.toml"):
    with pytest.raises(ProtocolError) as caught:
        scan_protocol.parse(text, where)
    return str(caught.value)


def write(folder, name, text):
    (folder / f"{name}.toml").write_text(text.replace('"small"', f'"{name}"'), encoding="utf-8")


def test_every_shipped_scan_protocol_is_read_and_none_has_expired():
    protocols = scan_protocol.load_all()
    assert tuple(protocol.name for protocol in protocols) == SHIPPED == scan_protocol.names()
    for protocol in protocols:
        assert not [key for key, limit in protocol.limits.items() if limit.expired()]


def test_what_is_simulated_has_everything_to_be_simulated():
    played = {protocol.name for protocol in scan_protocol.load_all() if protocol.simulate is not None}
    assert played == {
        "scout",
        "scout_3d",
        "scout_head",
        "brain_gre_averaged",
        "brain_gre_r4",
        "brain_gre_r4_navigated",
        "brain_gre_r4_network",
        "brain_live_r4",
        "weekly_phantom",
    }


def test_nodes_come_in_order_with_their_parameters():
    protocol = scan_protocol.parse(SMALL, "small.toml")
    assert protocol.chain.nodes == (("accumulate", {}), ("finish", {"pixels": "float32"}))


def test_the_hash_is_that_of_the_text_and_stands_in_every_limit_id():
    protocol = scan_protocol.parse(SMALL, "small.toml")
    assert protocol.hash == hashlib.sha256(SMALL.encode()).hexdigest()
    assert protocol.limit_id("snr") == f"{protocol.hash[:12]}:snr"
    assert scan_protocol.parse(SMALL + "# a remark\n", "small.toml").hash != protocol.hash


def test_every_problem_is_told_at_once_with_its_line():
    text = (
        SMALL.replace("title", "titel")
        .replace('"min"', '"minimum"')
        .replace("[chain.finish]", "[chain.finsh]")
        .replace("image = 50.0", 'image = "soon"')
    )
    told = problems_of(text)
    assert "small.toml: title: missing; wanted: one line for people" in told
    assert "small.toml:2: titel: no such key. Did you mean 'title'?" in told
    assert "small.toml:7: chain.finsh: not in chain.order. Did you mean 'finish'?" in told
    assert "small.toml:12: limits.snr.direction: got 'minimum', wanted 'min' or 'max'." in told
    assert "small.toml:16: deadlines.image: got 'soon', wanted a number" in told
    assert len(told.splitlines()) == 5


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "small"', 'name = "../x"', "1: name: got '../x', wanted letters"),
        ('name = "small"', "name = 3", "1: name: got 3, wanted text in quotes"),
        ('["accumulate", "finish"]', "[]", "chain.order"),
        ('["accumulate", "finish"]', '["finish", "finish"]', "5: chain.order: got finish more than once"),
        ('["accumulate", "finish"]', '"finish"', "5: chain.order: got 'finish', wanted a list"),
        ('["accumulate", "finish"]', '["finish"]\nfinsh = 3', "wanted a table [chain.finsh]"),
        ("image = 50.0", "image = -1", "16: deadlines.image: got -1, wanted greater than 0"),
        ("image = 50.0", "imge = 50.0", "16: deadlines.imge: no such stage. Did you mean 'image'?"),
        ("[limits.snr]", "[limits.SNR]", "10: limits.SNR: got 'SNR', wanted small letters"),
        ("value = 5", "value = inf", "11: limits.snr.value: got inf"),
        ('unit = "1"', 'unit = "1"\nvalid_until = 2027-13-01', "not TOML"),
        ('unit = "1"', 'unit = "1"\nvalid_until = "soon"', "14: limits.snr.valid_until: got 'soon', wanted"),
        ("[deadlines]", "[deadline]", "15: deadline: no such key. Did you mean 'deadlines'?"),
        ("[deadlines]", "[match]\nmatrix_x = [9, 1]\n[deadlines]", "matrix_x: got [9.0, 1.0], wanted [least, most]"),
        ("[deadlines]", "[engines]\nbackends = ['cuda']\n[deadlines]", "16: engines.backends: got 'cuda', wanted"),
        (
            "[deadlines]",
            "[simulate]\nmatrix = [7, 7]\n[deadlines]",
            "15: simulate: matrix: got [7, 7], wanted two even",
        ),
        ("[deadlines]", "[deadlines", "small.toml:15: not TOML"),
    ],
)
def test_a_mistake_is_told_with_file_line_key_got_and_wanted(old, new, told):
    assert old in SMALL
    assert told in problems_of(SMALL.replace(old, new))


@settings(max_examples=60)
@given(st.data())
def test_no_text_does_anything_but_load_or_tell_what_is_wrong(data):
    start = data.draw(st.integers(0, len(SMALL)))
    stop = data.draw(st.integers(start, len(SMALL)))
    text = SMALL[:start] + data.draw(st.text(max_size=10)) + SMALL[stop:]
    try:
        assert scan_protocol.parse(text, "x.toml").hash
    except ProtocolError as error:
        assert all(line.startswith("x.toml") for line in str(error).splitlines() if line)  # noqa: PT017


@pytest.mark.parametrize(
    "path",
    [
        ("chain", "order"),
        ("chain", "finish", "pixels"),
        ("limits", "snr", "value"),
        ("limits", "snr", "direction"),
        ("limits", "snr", "unit"),
        ("deadlines", "image"),
    ],
)
def test_a_key_is_found_on_the_line_where_it_is_written(path):
    assert SMALL.splitlines()[line_of(SMALL, path) - 1].startswith(f"{path[-1]} =")
    assert line_of(SMALL, (*path, "below")) == line_of(SMALL, path)


def test_a_file_bears_the_name_of_its_scan_protocol(tmp_path):
    (tmp_path / "other.toml").write_text(SMALL, encoding="utf-8")
    with pytest.raises(ProtocolError, match=r"other.toml:1: name: got 'small', wanted 'other'"):
        scan_protocol.load(tmp_path / "other.toml")


def test_a_file_that_cannot_be_read_or_is_not_text_says_so(tmp_path):
    with pytest.raises(ProtocolError, match="cannot be read: No such file"):
        scan_protocol.load(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProtocolError, match="not UTF-8"):
        scan_protocol.load(tmp_path / "bytes.toml")


def test_an_unknown_name_is_an_error_with_the_nearest_names():
    with pytest.raises(ProtocolError, match=r"'brain_gre': .*Did you mean 'brain_gre_r4'"):
        scan_protocol.find("brain_gre")


@pytest.mark.parametrize("name", ["../exams/scout", "/etc/passwd", "scout\0", "SCOUT", "scout.toml.toml", ""])
def test_a_name_is_never_a_path_nor_nearly_a_name(name):
    with pytest.raises(ProtocolError, match="no scan protocol of this name"):
        scan_protocol.find(name)


def test_a_console_may_write_the_suffix():
    assert scan_protocol.find("scout.toml") == scan_protocol.find("scout")


def test_a_site_adds_scan_protocols_and_may_replace_shipped_ones(tmp_path):
    write(tmp_path, "knee", SMALL)
    write(tmp_path, "scout", SMALL)
    assert scan_protocol.names((tmp_path,)) == tuple(sorted({*SHIPPED, "knee"}))
    assert scan_protocol.find("scout", (tmp_path,)).title == "A small one"
    assert scan_protocol.find("scout").title != "A small one"


def test_loading_all_tells_the_problems_of_every_file(tmp_path):
    write(tmp_path, "a", SMALL.replace("title", "tittle"))
    write(tmp_path, "b", "x = = 1")
    with pytest.raises(ProtocolError, match=r"a\.toml[\s\S]*b\.toml:1: not TOML"):
        scan_protocol.load_all((tmp_path,))


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ProtocolError, match="got no folder"):
        scan_protocol.names((tmp_path / "none",))


@pytest.mark.parametrize(
    ("came", "chosen"),
    [
        (scan(), "cartesian"),
        (scan("gre", "SIEMENS"), "siemens_product"),
        (scan("pulseq 2D FLASH", "SIEMENS"), "cartesian"),
        (scan("pulseq gre_lbl", "Siemens Healthineers"), "siemens_product"),
        (scan("Head Scout", "Scanside"), "scout_head"),
        (scan("localizer_brain", "Scanside"), "scout_head"),
        (scan("Knee Scout", "Scanside"), "scout"),
        (scan("localizer", "SIEMENS"), "siemens_product"),
        (scan("brain_gre_r4", acceleration=(4, 1), calibration_mode="embedded"), "brain_gre_r4"),
        (scan("brain_gre_r4", acceleration=(2, 1), calibration_mode="embedded"), "cartesian"),
        (scan("cine", acceleration=(3, 1), calibration_mode="separate"), "cartesian_live"),
        (scan("brain_live_r4", acceleration=(4, 1), calibration_mode="separate"), "brain_live_r4"),
    ],
)
def test_the_header_chooses(came, chosen):
    assert scan_protocol.select(came, scan_protocol.load_all()).name == chosen


@pytest.mark.parametrize(
    ("came", "why"),
    [
        (scan(trajectory="epi"), "trajectory: got 'epi', wanted cartesian"),
        (scan(encoded_matrix=(1, 230, 180)), "matrix_z: got 180, wanted 1"),
    ],
)
def test_a_scan_that_nothing_is_meant_for_is_told_what_is_not_supported_yet(came, why):
    with pytest.raises(ProtocolError, match="not supported yet") as caught:
        scan_protocol.select(came, scan_protocol.load_all())
    assert why in str(caught.value)


def test_two_scan_protocols_that_fit_alike_are_an_error_that_names_both():
    one = scan_protocol.parse(SMALL + '[match]\ntrajectory = "cart*"\n', "one.toml")
    two = scan_protocol.parse(SMALL.replace('"small"', '"two"') + '[match]\ntrajectory = "*"\n', "two.toml")
    with pytest.raises(ProtocolError, match=r"small \(one.toml\), two \(two.toml\).*priority"):
        scan_protocol.select(scan(), [one, two])
    first = scan_protocol.parse(SMALL + '[match]\ntrajectory = "*"\npriority = 1\n', "first.toml")
    assert scan_protocol.select(scan(), [one, two, first]) == first


def test_without_a_match_table_a_scan_protocol_is_chosen_by_name_only():
    with pytest.raises(ProtocolError, match="none known"):
        scan_protocol.select(scan(), [scan_protocol.parse(SMALL, "small.toml")])


def test_the_order_in_which_files_are_listed_does_not_matter():
    protocols = scan_protocol.load_all()
    for came in (scan(), scan("gre", "SIEMENS"), scan("scout")):
        assert scan_protocol.select(came, protocols) == scan_protocol.select(came, protocols[::-1])


DATA = Path(__file__).parents[3] / "shared" / "data" / "mrd"
REAL = {
    "brain16_gre": "cartesian",
    "brain16_r2": "cartesian",
    "brain16_r3": "cartesian",
    "brain16_r3_siemensflags": "cartesian",
    "brain7_from_images": "cartesian",
    "gre2_skyra": "siemens_product",
    "gre3echo_prisma": "cartesian",
    "gre7t_phantom": "siemens_product",
    "head1_sag_se": "cartesian",
    "phantom16_gre": "cartesian",
    "phantom32_se": "cartesian",
    "brain8_poisson": "not supported yet: .*matrix_z: got 180",
    "epi1_trio_basic": "not supported yet: .*trajectory: got 'epi'",
    "epi2_skyra_bold": "not supported yet: .*trajectory: got 'epi'",
    "epi4_trio_ramp": "not supported yet: .*trajectory: got 'epi'",
}


@pytest.mark.skipif(not DATA.is_dir(), reason="the real scans of ../shared/data are not here")
@pytest.mark.parametrize("name", REAL)
def test_real_headers_choose_as_the_notes_on_their_orientation_say(name):
    with h5py.File(DATA / f"{name}.h5") as file:
        came = parse_header(file["dataset/xml"][0].decode())
    if REAL[name].startswith("not supported"):
        with pytest.raises(ProtocolError, match=REAL[name]):
            scan_protocol.select(came, scan_protocol.load_all())
    else:
        assert scan_protocol.select(came, scan_protocol.load_all()).name == REAL[name]
