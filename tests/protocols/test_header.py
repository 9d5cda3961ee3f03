"""Headers: real ones, written ones, mutilated ones."""

import re
import string
from dataclasses import replace
from pathlib import Path

import h5py
import ismrmrd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import LocalError, PeerError
from protocols.geometry import DEVICE_FROM_PATIENT
from protocols.header import HeaderError, parse_header, write_header
from protocols.scan import Encoding, Limit, Scan

DATA = Path(__file__).parents[3] / "shared" / "data" / "mrd"
FILES = sorted(DATA.glob("*.h5")) or [None]
COUNTERS = ("kspace_encoding_step_0", "kspace_encoding_step_1", "slice", "repetition", "user_7")
laws = settings(max_examples=60)

words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12)
counts = st.integers(0, 65535)
matrices = st.tuples(*[st.integers(1, 1024)] * 3)
amounts = st.floats(1e-3, 1e4)
values = st.one_of(words, st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False))
names = st.text(string.ascii_letters, min_size=1, max_size=8)
times = st.lists(amounts, max_size=3).map(tuple)
encodings = st.builds(
    Encoding,
    st.sampled_from(["cartesian", "epi", "radial", "goldenangle", "spiral", "other"]),
    matrices,
    st.tuples(*[amounts] * 3),
    matrices,
    st.tuples(*[amounts] * 3),
    st.dictionaries(st.sampled_from(COUNTERS), st.builds(Limit, counts, counts, counts)),
    st.tuples(st.integers(1, 9), st.integers(1, 4)),
    st.sampled_from(["", "embedded", "interleaved", "separate", "external", "other"]),
)
scans = st.builds(
    Scan,
    st.lists(encodings, min_size=1, max_size=2).map(tuple),
    coils=st.none() | st.integers(1, 128),
    coil_labels=st.lists(words, max_size=3).map(tuple),
    measurement_id=words,
    protocol_name=words,
    patient_position=st.sampled_from(sorted(DEVICE_FROM_PATIENT)),
    dependencies=st.dictionaries(words, words, max_size=2),
    field_strength_t=st.none() | amounts,
    resonance_hz=st.none() | st.integers(1, 10**9).map(float),
    relative_noise_bandwidth=st.none() | amounts,
    system_vendor=words,
    system_model=words,
    sequence_type=words,
    tr_ms=times,
    te_ms=times,
    ti_ms=times,
    flip_angle_deg=times,
    parameters=st.dictionaries(names, values, max_size=4),
)
FULL = Scan(
    (
        Encoding(
            "cartesian",
            (256, 128, 1),
            (512.0, 256.0, 5.0),
            (128, 128, 1),
            (256.0, 256.0, 5.0),
            {"kspace_encoding_step_1": Limit(0, 127, 64), "slice": Limit(0, 4, 0)},
            (4, 1),
            "embedded",
        ),
    ),
    coils=16,
    coil_labels=("Head:1", "Head:2"),
    measurement_id="M1",
    protocol_name="brain",
    patient_position="HFS",
    dependencies={"Noise": "M0"},
    field_strength_t=2.89,
    resonance_hz=123e6,
    relative_noise_bandwidth=0.79,
    system_vendor="V",
    system_model="M",
    sequence_type="GRE",
    tr_ms=(5.0,),
    te_ms=(2.0,),
    ti_ms=(100.0,),
    flip_angle_deg=(10.0,),
    parameters={"a": "text", "b": 3, "c": 0.5},
)
XML = write_header(FULL)


@laws
@given(scans)
def test_what_is_written_is_what_is_read(scan):
    assert parse_header(write_header(scan)) == scan


@laws
@given(scans)
def test_what_is_written_is_valid_for_the_ismrmrd_package(scan):
    header = ismrmrd.xsd.CreateFromDocument(write_header(scan).encode())
    assert len(header.encoding) == len(scan.encodings)
    assert header.measurementInformation.patientPosition.value == scan.patient_position


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem if file else "none")
def test_the_header_of_a_real_file_is_read_and_written_without_loss(file):
    if file is None:
        pytest.skip("needs the real data in ../shared/data/mrd")
    with h5py.File(file) as data:
        xml = data["dataset/xml"][0].decode()
        acquisition = data["dataset/data"][-1]["head"]
    scan = parse_header(xml)
    assert parse_header(write_header(scan)) == scan
    assert scan.coils == acquisition["active_channels"]
    assert scan.encodings[0].encoded_matrix[0] == acquisition["number_of_samples"]
    assert scan.encodings[0].limits["kspace_encoding_step_1"].maximum < scan.encodings[0].encoded_matrix[1]
    assert (scan.resonance_hz is None) == (">0</H1resonance" in xml)
    assert scan.parameters["Licence"]


def without(tag, xml=XML):
    """The header with every element of a name taken out."""
    return re.sub(rf"<{tag}>.*?</{tag}>|<{tag}/>", "", xml, flags=re.DOTALL)


GONE = {
    "acquisitionSystemInformation": {
        "coils": None,
        "coil_labels": (),
        "field_strength_t": None,
        "relative_noise_bandwidth": None,
        "system_vendor": "",
        "system_model": "",
    },
    "measurementInformation": {"measurement_id": "", "protocol_name": "", "patient_position": "", "dependencies": {}},
    "experimentalConditions": {"resonance_hz": None},
    "sequenceParameters": {"tr_ms": (), "te_ms": (), "ti_ms": (), "flip_angle_deg": (), "sequence_type": ""},
    "userParameters": {"parameters": {}},
    "patientPosition": {"patient_position": ""},
    "measurementDependency": {"dependencies": {}},
    "receiverChannels": {"coils": None},
    "coilLabel": {"coil_labels": ()},
    "H1resonanceFrequency_Hz": {"resonance_hz": None},
    "TR": {"tr_ms": ()},
}


@laws
@given(st.sets(st.sampled_from(sorted(GONE))))
def test_what_a_header_omits_is_empty_and_the_rest_is_as_before(tags):
    xml, wanted = XML, FULL
    for tag in sorted(tags):
        xml = without(tag, xml)
        wanted = replace(wanted, **GONE[tag])
    assert parse_header(xml) == wanted


def only_encoding(xml):
    return parse_header(xml).encodings[0]


def test_limits_and_parallel_imaging_may_be_missing():
    assert only_encoding(without("encodingLimits")).limits == {}
    assert list(only_encoding(without("slice")).limits) == ["kspace_encoding_step_1"]
    bare = only_encoding(without("parallelImaging"))
    assert (bare.acceleration, bare.calibration_mode) == ((1, 1), "")
    assert only_encoding(without("calibrationMode")).acceleration == (4, 1)


@pytest.mark.parametrize(("word", "read"), [("Cartesian", "cartesian"), ("EPI", "epi"), (" radial ", "radial")])
def test_the_trajectory_is_read_however_it_is_capitalised(word, read):
    assert only_encoding(XML.replace(">cartesian<", f">{word}<")).trajectory == read


def test_a_trajectory_the_schema_does_not_know_is_other():
    assert only_encoding(XML.replace(">cartesian<", ">rosette<")).trajectory == "other"


def test_a_version_unknown_elements_a_missing_namespace_and_a_trailing_nul_do_no_harm():
    odd = XML.replace("<measurementInformation>", "<version>8</version><vendorExtra><x>1</x></vendorExtra>\\g", 1)
    odd = odd.replace("\\g", "<measurementInformation>").replace(' xmlns="http://www.ismrm.org/ISMRMRD"', "")
    assert parse_header(odd.rstrip() + "\n") == FULL


def test_a_resonance_frequency_of_zero_is_not_known():
    assert parse_header(XML.replace(">123000000<", ">0<")).resonance_hz is None


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        ("", "not XML, no element found: line 1"),
        ("GRE protocol", "not XML, syntax error: line 1, column 0; it begins 'GRE protocol'"),
        (XML[:600], r"not XML, .*: line \d+"),
        ("<configuration/>", "root element <configuration>; <ismrmrdHeader> was wanted"),
        (without("encoding"), "no <encoding>"),
        (without("trajectory"), "encoding 0: no <trajectory>"),
        (without("encodedSpace"), "encoding 0: encodedSpace/matrixSize is None x None x None"),
        (without("fieldOfView_mm"), "encoding 0: encodedSpace/fieldOfView_mm is None"),
        (XML.replace("<x>256</x>", "<x>0</x>"), "encodedSpace/matrixSize is 0 x 128 x 1; three numbers > 0"),
        (XML.replace("<x>256</x>", "<x>many</x>"), "`matrixSizeType.x` `many` is not a valid `int`"),
        (XML.replace(">HFS<", ">HFX<"), "`HFX` is not a valid `patientPositionType`"),
        (XML.replace("<TR>5.0", "<TR>fast"), "`sequenceParametersType.TR` `fast` is not a valid `float`"),
    ],
)
def test_a_header_without_the_essentials_says_what_and_where(xml, words):
    with pytest.raises(HeaderError, match=words) as caught:
        parse_header(xml)
    assert isinstance(caught.value, PeerError)


@laws
@given(st.integers(0, len(XML) - 2), st.sampled_from(["<", "&", "\0", "x", "", "0", "-"]))
def test_a_spoilt_character_is_read_or_reported_and_nothing_else_happens(at, character):
    try:
        assert isinstance(parse_header(XML[:at] + character + XML[at + 1 :]), Scan)
    except HeaderError as error:
        assert str(error).startswith("header: ")  # noqa: PT017


def test_a_measurement_without_patient_position_cannot_be_written():
    with pytest.raises(LocalError, match="no patient position"):
        write_header(replace(FULL, patient_position=""))
