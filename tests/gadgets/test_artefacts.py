"""The network that finds artefacts, in the chain: it may flag, fail, hang or be missing; images never wait for it."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from engines.artefacts.names import ARTEFACTS
from engines.engine import Engine
from gadgets.artefact_verdict import WORDS
from gadgets.artefacts import artefacts
from gadgets.explain import examine
from gadgets.lend import Lender
from gadgets.serve import ServeOptions, running
from protocols.bus import Subscriber
from protocols.events import Flag, Quality, Severity
from protocols.header import write_header
from protocols.messages import Close, Config, Header, Image, Text
from protocols.mrd import IMAGE, AcqFlag, flag_mask
from tests.making import context, scan
from tests.peer import PATIENCE_S, raw, talk
from tests.tiny_artefacts import make_artefacts
from tests.tiny_model import make_model

SIZE, FRAMES = 48, 3
PROTOCOL = """
name = "examined"
title = "for tests"
[chain]
order = ["oversampling", "accumulate", "calibrate", "reconstruct", "finish", "artefacts"]
[engines]
models = {{ artefacts = '{model}' }}
backends = ["onnxruntime"]
[deadlines]
artefacts = {deadline_ms}
[limits.artefact_motion]
value = 0.9
direction = "max"
unit = "1"
basis = "conformal"
[limits.artefact_spike]
value = 0.9
direction = "max"
unit = "1"
"""


def frame(number):
    made = raw(range(SIZE), size=SIZE, noise=0.3, seed=number, repetition=number)  # no body is even inside
    if number < FRAMES - 1:
        made.headers["flags"][-1] &= ~np.uint64(flag_mask(AcqFlag.LAST_IN_MEASUREMENT))
    return made


def scanned(model, deadline_ms=20_000.0, then=lambda: None):
    """Images that come back, and what is told on the bus, of a scan of three frames through a real server."""
    text = PROTOCOL.format(model=model, deadline_ms=deadline_ms)
    of = scan(SIZE, SIZE, repetition=(0, FRAMES - 1))
    sent = [Config(text, is_name=False), Header(write_header(of)), *map(frame, range(FRAMES)), Close()]
    with (
        running(ServeOptions(port=0, allow_unsigned=True)) as server,
        Subscriber(server.bus_address, ["flag", "quality", "metrics"]) as bus,
    ):
        assert server.publisher.wait_for_subscriptions(3)
        got = talk(server.port, sent)
        assert isinstance(got[-1], Close)
        told = list(bus.events(timeout_s=0.5))
        then()
    return [m for m in got if isinstance(m, Image)], told, [m.text for m in got if isinstance(m, Text)]


def of_kind(told, kind):
    return [event for event in told if isinstance(event, kind)]


def test_an_artefact_above_its_limit_is_flagged_in_each_image_with_place_model_and_what_to_do(tmp_path):
    images, told, texts = scanned(make_artefacts(tmp_path))
    flags = of_kind(told, Flag)
    assert len(images) == FRAMES
    assert [(flag.code, flag.severity, flag.evidence["repetition"]) for flag in flags] == [
        ("artefact_motion", Severity.WARN, number) for number in range(FRAMES)
    ]
    flag = flags[0]
    assert flag.advice == "slice 0: the patient moved; repeat it"
    assert flag.score > flag.limit == 0.9
    assert flag.limit_id.endswith(":artefact_motion")
    assert len(flag.model_hash) == 64
    first, last, left, right = flag.evidence["region"]
    assert 0 <= first < last <= SIZE
    assert 0 <= left < right <= SIZE
    assert sum(text.startswith("WRN artefact_motion") for text in texts) == FRAMES
    figures = of_kind(told, Quality)
    assert [event.repetition for event in figures] == [0, 1, 2]
    assert set(figures[0].figures) == {f"artefact_{name}{end}" for name in ARTEFACTS for end in ("", "_severity")}
    assert figures[0].figures["artefact_motion"] == pytest.approx(flag.score, abs=1e-4)


def test_what_is_below_its_limit_or_has_none_is_not_flagged(tmp_path):
    images, told, _ = scanned(make_artefacts(tmp_path, finds="blurring"))
    assert len(images) == len(of_kind(told, Quality)) == FRAMES
    assert of_kind(told, Flag) == []


@pytest.mark.parametrize(
    ("flaw", "word"), [("nan", "not finite"), ("error", "onnxruntime"), ("self-test", "self-test")]
)
def test_a_network_that_fails_is_one_flag_a_scan_and_every_image_comes(tmp_path, flaw, word):
    images, told, _ = scanned(make_artefacts(tmp_path, flaw=flaw))
    (flag,) = of_kind(told, Flag)
    assert len(images) == FRAMES
    assert (flag.code, flag.severity) == ("artefacts", Severity.UNKNOWN)
    assert word in flag.message


def test_a_network_that_hangs_is_one_flag_a_scan_and_no_image_waits_for_it(tmp_path, monkeypatch):
    let, asked = threading.Event(), []

    def hanging(self, tensors):
        asked.append(self)
        assert let.wait(PATIENCE_S)
        raise AssertionError

    monkeypatch.setattr(Engine, "__call__", hanging)
    try:
        images, told, _ = scanned(make_artefacts(tmp_path), deadline_ms=50.0, then=let.set)
    finally:
        let.set()
    (flag,) = [flag for flag in of_kind(told, Flag) if flag.code == "artefacts"]
    assert len(images) == FRAMES
    assert len(asked) == 1
    assert flag.severity is Severity.UNKNOWN
    assert "no answer within 0.05 s" in flag.message


def test_a_model_of_another_task_has_no_opinion_on_artefacts(tmp_path):
    images, told, _ = scanned(make_model(tmp_path))
    (flag,) = of_kind(told, Flag)
    assert len(images) == FRAMES
    assert "task 'unrolled', wanted 'artefacts'" in flag.message


def picture(bright=1000.0, size=SIZE, phase=0.3, **more):
    header = np.zeros((), IMAGE)[()]
    header["slice"] = 7
    grain = 1 + 0.1 * np.random.default_rng(7).standard_normal((1, size, size))
    phased = (bright * grain * np.exp(1j * phase)).astype(np.complex64)
    return Image(header, np.abs(phased)[None], phased=phased, **more)


def hiding(**more):
    """One bright column, in which the tiny network finds less than in the linear image behind it."""
    image = picture(0.0, behind=lambda: picture().phased, **more)
    image.pixels[..., 0], image.phased[..., 0] = 1.0, 1j
    return image


def examined(model, *images, of=None, limit=0.9):
    """What is told of images by the gadget alone."""
    lender, opinions = Lender(allow_unsigned=True), []
    text = PROTOCOL.format(model=model, deadline_ms=20_000.0).replace("value = 0.9", f"value = {limit}")
    try:
        around = context(of or scan(SIZE, SIZE), toml=text, tell=opinions.append, lender=lender)
        assert list(artefacts(around)(iter(images))) == list(images)
    finally:
        lender.close()
    return opinions


def test_what_a_network_has_hidden_is_flagged_from_the_linear_image_behind_it_and_the_difference_told(tmp_path):
    figures, flag = examined(make_artefacts(tmp_path), hiding(), limit=0.99)
    assert (flag.code, flag.evidence["judged"]) == ("artefact_motion", "linear")
    assert flag.message.startswith("the linear image behind the network's: slice 7")
    own, linear, difference = (figures.figures[f"artefact_motion{end}"] for end in ("", "_linear", "_difference"))
    assert own < 0.99 < linear
    assert linear == pytest.approx(flag.score, abs=1e-4)
    assert difference == pytest.approx(own - linear, abs=1e-3)


def test_a_linear_image_that_was_sent_itself_is_not_flagged_twice(tmp_path):
    beside = {"ImageProcessingHistory": ["Scanside", "examined", "network"]}
    (figures,) = examined(make_artefacts(tmp_path), hiding(meta=beside), limit=0.99)
    assert figures.figures["artefact_motion_linear"] > 0.99


@pytest.mark.parametrize(
    ("of", "image", "word"),
    [
        (scan(SIZE, SIZE, recon=(2 * SIZE, 2 * SIZE, 1)), picture(size=2 * SIZE), "made for 2-D, 16 to 64"),
        (scan(SIZE, SIZE, 5), picture(), "R = 5"),
        (scan(SIZE, SIZE), picture(0.0), "empty"),
        (scan(SIZE, SIZE), replace(picture(), pixels=np.full((1, 1, SIZE, SIZE), 9, np.float32)), "even inside"),
        (scan(SIZE, SIZE), picture(phase=0.0), "no phase"),
        (scan(SIZE, SIZE), replace(picture(), phased=None), "no phase"),
    ],
)
def test_what_the_network_was_not_made_for_is_unknown_once_a_scan(tmp_path, of, image, word):
    (flag,) = examined(make_artefacts(tmp_path, matrix=(16, 64)), image, image, of=of)
    assert (flag.code, flag.severity) == ("artefacts", Severity.UNKNOWN)
    assert word in flag.message
    assert "slice 7" in flag.message


def test_error_maps_are_no_images_of_the_patient(tmp_path):
    kind = {"ImageProcessingHistory": ["Scanside", "examined", "error map"]}
    assert examined(make_artefacts(tmp_path), picture(meta=kind)) == []


def test_there_are_words_and_advice_for_every_artefact():
    assert tuple(WORDS) == ARTEFACTS


def test_check_says_which_model_looks_for_artefacts_and_refuses_one_for_another_task(tmp_path):
    def checked(model):
        path = tmp_path / "examined.toml"
        path.write_text(PROTOCOL.format(model=model, deadline_ms=100.0), encoding="utf-8")
        lines, wrong = examine(str(path), allow_unsigned=True)
        return "\n".join(lines), [str(problem) for problem in wrong]

    model = make_artefacts(tmp_path)
    lines, wrong = checked(model)
    assert wrong == []
    assert f"network   {model} on onnxruntime, for 'artefacts'" in lines
    _, (told,) = checked(make_model(tmp_path))
    assert "engines.models.artefacts" in told
    assert "task 'unrolled', wanted 'artefacts'" in told
