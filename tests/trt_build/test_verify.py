"""Backends that make other images are found, refused and passed over; what passes can be written into the card."""

import errno
import os
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

import trt_build.commands
import trt_build.verify
from engines.backends import ort
from engines.backends.interface import Opened, key_of
from engines.card import parse_card
from engines.errors import EngineError, ModelError
from engines.model import load_model
from engines.plans import Plans
from tests.tiny_model import make_model
from trt_build.verify import record, verify


@pytest.fixture
def model(tmp_path):
    return load_model(make_model(tmp_path), allow_unsigned=True)


@pytest.fixture
def plans(tmp_path):
    return Plans(tmp_path / "plans", print)


def scans(count=2, y=32, x=16):
    random = np.random.default_rng(0)
    for _ in range(count):
        target = random.uniform(0.5, 1, (1, 2, y, x)).astype(np.float32)
        matrices = np.repeat(np.eye(y, dtype=np.complex64)[None], x, 0) * 0.9
        inverse = np.concatenate([matrices.real, matrices.imag], 1)
        normal = target + random.normal(0, 0.05, target.shape).astype(np.float32)
        scan, inside = np.array([0.3, 0.25], np.float32), np.ones((y, x), np.float32)
        yield SimpleNamespace(normal=normal, inverse=inverse, scan=scan, noise=inside, target=target, inside=inside)


def backend(changes, precision="single"):
    """ONNX Runtime with something done to its outputs."""

    @contextmanager
    def open_graph(job):
        with ort.open_graph(job) as opened:

            def infer(tensors):
                got = opened.infer(tensors)
                return {**got, **{port: change(got[port]) for port, change in changes.items() if port in got}}

            yield Opened(infer, "1", precision, key_of(job, "other", "1", precision))

    return SimpleNamespace(missing=lambda: None, open_graph=open_graph)


def judged(monkeypatch, model, plans, **changes):
    """Verdicts of a backend with these changes of its outputs, and what is refused, by graph."""
    known = {"onnxruntime": ort, "other": backend(changes)}
    monkeypatch.setattr(trt_build.verify, "BACKENDS", dict.fromkeys(known))
    monkeypatch.setattr(trt_build.verify, "_module", known.__getitem__)
    verdicts = {verdict.graph: verdict for verdict in verify(model, scans(), plans)}
    key = {"model": "tiny", "hash": model.hash, "backend": "other", "version": "1", "options": "single"}
    return verdicts, {graph: plans.refused({**key, "graph": graph}) for graph in verdicts}


def test_the_same_images_pass(monkeypatch, model, plans):
    verdicts, refused = judged(monkeypatch, model, plans, image=lambda image: image * np.float32(1.0001))
    assert {graph: verdict.wrong for graph, verdict in verdicts.items()} == {"model": "", "cascade_0": ""}
    assert set(refused.values()) == {None}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda image: image * np.float32(1.01), "test vectors"),
        (lambda image: image + np.float32(0.02) * (-1) ** np.arange(image.shape[-1], dtype=np.float32), "PSNR"),
        (lambda image: image * np.float32("nan"), "inf"),
    ],
)
def test_other_images_are_refused_with_the_reason(monkeypatch, model, plans, change, told):
    verdicts, refused = judged(monkeypatch, model, plans, image=change)
    assert told in verdicts["model"].wrong
    assert refused == {"model": verdicts["model"].wrong, "cascade_0": None}


def test_a_network_in_parts_is_judged_by_its_image(monkeypatch, model, plans):
    def striped(planes):
        return planes + np.float32(0.2) * (-1) ** np.arange(planes.shape[-1], dtype=np.float32)

    verdicts, refused = judged(monkeypatch, model, plans, denoised=striped)
    assert verdicts["cascade_0"].images > 0
    assert "PSNR" in verdicts["cascade_0"].wrong
    assert refused == {"model": None, "cascade_0": verdicts["cascade_0"].wrong}


def test_a_backend_that_works_again_is_accepted(monkeypatch, model, plans):
    assert judged(monkeypatch, model, plans, image=lambda image: image * 2)[1]["model"] is not None
    assert judged(monkeypatch, model, plans)[1]["model"] is None


def test_a_backend_that_was_named_must_work(model, plans):
    with pytest.raises(EngineError, match="no backend 'fastest'"):
        list(verify(model, scans(), plans, ["fastest"]))


def test_openvino_makes_the_same_images(model, plans):
    verdicts = {(verdict.graph, verdict.precision): verdict for verdict in verify(model, scans(), plans, ["openvino"])}
    assert verdicts["model", "single"].wrong == ""
    assert verdicts["cascade_0", "single"].wrong == ""


def test_what_passed_is_written_into_the_card_and_the_signature_goes(model):
    (model.folder / "signature.toml").write_text("of the card before")
    record(model.folder, ["bf16"])
    assert not (model.folder / "signature.toml").exists()
    assert load_model(model.folder, allow_unsigned=True).card.precisions == ("single", "bf16")
    card = (model.folder / "card.toml").read_text(encoding="utf-8")
    assert parse_card(card, "card.toml").graphs == model.card.graphs


def test_a_full_disk_leaves_the_card_and_its_signature(model, monkeypatch):
    (model.folder / "signature.toml").write_text("of the card before")
    before = {file.name: file.read_bytes() for file in model.folder.iterdir()}

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match="the card cannot be written: No space left on device"):
        record(model.folder, ["bf16"])
    assert {file.name: file.read_bytes() for file in model.folder.iterdir()} == before
