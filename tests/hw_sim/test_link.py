import csv
import json
import socket
import threading
from importlib import resources
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from hw_sim.clock import WallClock
from hw_sim.collect import timeline
from hw_sim.console import keep, latency
from hw_sim.errors import LinkError
from hw_sim.link import Cut, Session, play
from hw_sim.pacing import ahead, at_once, every, recorded
from hw_sim.report import Shown, page
from protocols import advice
from protocols.errors import Vanished
from protocols.events import Advice, Again, Flag, Severity
from protocols.messages import Config, Feedback, Header, Readouts


def session(peer, **more):
    return Session("127.0.0.1", peer.port, "test", **more)


def samples_of(batches):
    return np.concatenate([batch.samples for batch in batches])


def test_a_session_is_config_header_data_close_and_every_image_comes_back(peer, prepared):
    played = prepared(slices=3)
    result = play(session(peer), "<xml/>", at_once(played.readouts()))
    assert peer.kept[:2] == [Config("test", is_name=True), Header("<xml/>")]
    assert np.array_equal(np.concatenate(peer.samples), samples_of(played.readouts()))
    assert np.array_equal(np.concatenate(peer.headers), played.headers)
    assert len(result.images) == 3
    assert result.missing == []
    assert result.errors == []
    assert result.closed
    assert result.texts == ["INF that was all"]
    assert result.readouts == len(played.plan)


def test_the_scanner_keeps_its_pace(peer, prepared):
    played = prepared(noise_readouts=0)
    result = play(session(peer), "<xml/>", every(played.readouts(), 3.0), WallClock())
    spent_s = timeline(result)[0].sent_s
    assert spent_s >= 31 * 3e-3
    assert result.jitter.p99_ms >= result.jitter.p50_ms >= 0


def test_latency_is_counted_from_the_last_readout_of_each_slice(peer, prepared):
    result = play(session(peer), "<xml/>", at_once(prepared(slices=2).readouts()))
    rows = timeline(result)
    assert [row.key[0] for row in rows] == [0, 1]
    assert all(0 <= row.latency_ms < 5000 for row in rows)
    assert latency(result).images == 2


def test_a_frame_without_an_image_is_missing(peer, prepared):
    peer.answers = False
    result = play(session(peer), "<xml/>", at_once(prepared(slices=2).readouts()))
    assert [key[0] for key in result.missing] == [0, 1]
    assert latency(result) is None


def test_a_plugin_that_stays_silent_is_an_error_not_a_hang(peer, prepared):
    peer.closes = False
    result = play(session(peer, silence_s=0.3), "<xml/>", at_once(prepared().readouts()))
    assert not result.closed
    assert "has sent nothing for 0.3 s" in result.errors[0]
    assert len(result.images) == 1


def test_nobody_to_connect_to_says_how_to_start_one():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(LinkError, match=f"scanside serve --port {port}"):
        play(Session("127.0.0.1", port), "<xml/>", [])


def test_a_scan_that_cannot_be_made_to_its_end_frees_the_plugin_and_its_own_thread(peer, prepared):
    def broken():
        yield from at_once(list(prepared().readouts())[:1])
        raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        play(session(peer), "<xml/>", broken())
    assert peer.left.wait(5)
    peer.thread.join(5)
    assert threading.active_count() <= before


def test_a_cut_is_where_it_was_asked_for(peer, prepared):
    result = play(session(peer), "<xml/>", at_once(prepared().readouts()), cut=Cut(readout=10))
    assert peer.left.wait(5)
    assert sum(map(len, peer.headers)) == 10
    assert any(isinstance(kept, Vanished) for kept in peer.kept)
    assert any("fell silent" in error for error in result.errors)


def test_a_cut_in_bytes_counts_from_the_first_byte_of_the_session(peer, prepared):
    play(session(peer), "<xml/>", at_once(prepared().readouts()), cut=Cut(byte=1027))
    assert peer.left.wait(5)
    assert peer.kept[0] == Config("test", is_name=True)
    assert isinstance(peer.kept[1], Vanished)


def test_making_readouts_ahead_changes_nothing(prepared):
    played = prepared(slices=4)
    few = samples_of(ahead(played.readouts(), limit_mib=0.01))
    assert np.array_equal(few, samples_of(played.readouts()))


def test_recorded_times_are_those_of_the_time_stamps(prepared):
    played = prepared(noise_readouts=0)
    ticks = np.array([100, 104, 103, 110])
    four = [Readouts(batch.headers[:4], batch.trajectory[:4], batch.samples[:4]) for batch in played.readouts()][:1]
    assert [due for due, _ in recorded(four, ticks, 2_500_000)] == [0, 10_000_000, 10_000_000, 25_000_000]


def test_the_console_keeps_pictures_hdf5_flags_and_timeline(peer, prepared, tmp_path):
    result = play(session(peer), "<xml/>", at_once(prepared(slices=2).readouts()))
    result.flags = [
        Flag(code="snr", severity=Severity.PASS, message="fine"),
        Flag(code="spike", severity=Severity.FAIL, message="bad"),
    ]
    keep(result, tmp_path)
    assert (tmp_path / "montage.png").read_bytes().startswith(b"\x89PNG")
    assert [flag["severity"] for flag in json.loads((tmp_path / "flags.json").read_text())] == ["FAIL", "PASS"]
    with (tmp_path / "timeline.csv").open() as file:
        assert [row["slice"] for row in csv.DictReader(file)] == ["0", "1"]
    dataset = ismrmrd.Dataset(str(tmp_path / "images.h5"), "dataset", create_if_needed=False)
    try:
        assert dataset.number_of_images("image_1") == 2
        image = dataset.read_image("image_1", 1)
    finally:
        dataset.close()
    assert np.array_equal(image.data, np.arange(64, dtype=np.uint16).reshape(1, 1, 8, 8))
    assert image.slice == 1


def test_the_page_needs_no_network(peer, prepared, simulate):
    result = play(session(peer), "<xml/>", at_once(prepared(slices=2).readouts()))
    result.flags = [Flag(code="spike", severity=Severity.FAIL, message="<b>not markup</b>", advice="repeat")]
    html = page("Exam", [Shown("test", "A test", result, simulate())], {"patient": "phantom"})
    assert html.count("data:image/png;base64,") == 2
    assert "http" not in html
    assert "&lt;b&gt;not markup" in html
    assert "repeat" in html
    assert (Path(str(resources.files("hw_sim"))) / "report.html.j2").exists()


def advise(action, *slices):
    again = tuple(Again(slice=slice_) for slice_ in slices)
    said = Advice(protocol="test", action=action, reason="for tests", again=again)
    return Feedback(advice.NAME, advice.encode(said))


def test_advice_is_kept_and_nobody_has_to_follow_it(peer, prepared):
    peer.says = [advise("reacquire", 1), advise("abort")]
    played = prepared(slices=2)
    result = play(session(peer), "<xml/>", at_once(played.readouts()))
    assert [said.action for said in result.advice] == ["reacquire", "abort"]
    assert result.readouts == len(played.plan)
    assert (result.stopped, result.stops, result.aborted) == (False, True, True)


@pytest.mark.parametrize("action", ["stop", "abort"])
def test_a_scanner_that_obeys_sends_nothing_more_and_takes_its_leave(peer, prepared, action):
    peer.says = [advise(action)]
    batch = next(iter(prepared().readouts()))
    endless = ((0, batch) for _ in range(100_000))
    result = play(session(peer, obeys=True), "<xml/>", endless)
    assert result.stopped
    assert result.closed
    assert 0 < result.readouts < 100_000 * len(batch.headers)


@pytest.mark.parametrize(
    ("said", "slices"),
    [
        ([], ()),
        ([("stop",)], ()),
        ([("reacquire", 2), ("reacquire", 0, 2)], (0, 2)),
        ([("reacquire", 2), ("abort",)], (0, 1, 2)),
    ],
)
def test_the_last_advice_says_which_slices_are_spoilt(peer, prepared, said, slices):
    peer.says = [advise(*one) for one in said]
    result = play(session(peer), "<xml/>", at_once(prepared(slices=3).readouts()))
    assert result.spoilt == slices


def test_feedback_that_is_no_advice_is_an_error_of_the_plugin(peer, prepared):
    peer.says = [Feedback("Another", b""), Feedback(advice.NAME, b"nonsense")]
    result = play(session(peer), "<xml/>", at_once(prepared().readouts()))
    assert "ScansideAdvice: it ends too early" in result.errors[0]
