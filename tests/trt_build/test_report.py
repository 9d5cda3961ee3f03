import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.card import Range
from engines.linear.columns import invert_columns, prepare_columns, solve_columns
from engines.linear.combine import rss
from engines.linear.fourier import to_image, to_kspace
from engines.linear.maps import bounding_box
from engines.model import load_model
from engines.unrolled.prepared import close_support
from tests.engines.unrolled.scene import strength_of
from trt_build.report import write
from trt_build.report.cases import PATTERNS, Slice, simulate, undersample
from trt_build.report.classical import linear, zero_filled
from trt_build.report.earlier import read_earlier
from trt_build.report.errors import ReportError
from trt_build.report.evaluate import evaluate, judge, summary
from trt_build.report.figures import benchmark, coverage, losses
from trt_build.report.masks import CALIBRATION_LINES, acquired_lines, first_calibration_line
from trt_build.report.methods import CLASSICAL, Drawn, network, without_weights
from trt_build.report.metrics import quality
from trt_build.report.subjects import SheppLogan
from trt_build.report.tables import write_csv
from trt_build.report.write import Plan, write_report

SIZE = 64
FOLDER = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def disc():
    """A slice of 64 x 64 pixels and eight coils: a disc with a hole."""
    chance = np.random.default_rng(3)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    inside = np.hypot(x, y) < 24
    image = np.where(inside, 40.0, 0) - 25.0 * (np.hypot(x - 5, y + 4) < 6)
    angles = np.arange(8) * np.pi / 4
    coils = np.stack([np.exp(-((x - 30 * np.cos(a)) ** 2 + (y - 30 * np.sin(a)) ** 2) / 900 + 1j * a) for a in angles])
    clean = to_kspace((coils * image).astype(np.complex64), 1)
    noise = chance.standard_normal((2, *clean.shape)) / np.sqrt(2)
    full = (clean + noise[0] + 1j * noise[1]).astype(np.complex64)
    return Slice("mni", "disc", full, clean, rss(to_image(clean, 1)), inside, np.hypot(x, y) < 20)


@pytest.fixture(scope="module")
def case(disc):
    return undersample(disc, 3, "equispaced")


def target(case):
    return case.target


@pytest.mark.parametrize("lines", [128, 256, 255])
@pytest.mark.parametrize("acceleration", [3, 4, 8])
def test_random_lines_are_as_many_as_those_on_the_grid_and_all_hold_the_calibration_lines(lines, acceleration):
    masks = [acquired_lines(lines, acceleration, pattern) for pattern in PATTERNS]
    assert masks[0].sum() == masks[1].sum()
    first = first_calibration_line(lines)
    for mask in masks:
        assert mask[first : first + CALIBRATION_LINES].all()
        assert mask[lines // 2]


def test_a_simulated_slice_has_white_noise_of_sigma_one_and_the_wanted_snr():
    found = simulate("shepp_logan", "Shepp-Logan", SheppLogan())
    noise = (found.full - found.clean).reshape(len(found.full), -1)
    covariance = noise @ noise.conj().T / noise.shape[1]
    np.testing.assert_allclose(covariance, np.eye(len(noise)), atol=0.06)  # whitened by a noise scan, itself noisy
    assert found.reference[found.head].mean() == pytest.approx(30 / np.sqrt(2), rel=1e-3)


def test_what_the_maps_describe_is_the_reference(case):
    assert quality(case.target, case.reference, case.head).nmse < 1e-3


def test_a_scaled_copy_is_as_good_as_the_copy_and_noise_counts_as_its_power():
    chance = np.random.default_rng(0)
    truth = 1 + chance.random((64, 64))
    region = np.ones((64, 64), np.bool_)
    noisy = truth + 0.01 * chance.standard_normal(truth.shape)
    figures = quality(noisy, truth, region)
    assert figures.psnr_db == pytest.approx(20 * np.log10(truth.max() / 0.01), abs=0.2)
    assert quality(7 * noisy, truth, region) == pytest.approx(figures)
    assert quality(noisy + 1, truth, region).ssim < figures.ssim


def nothing_added(inputs):
    """A network that gives P b, and one sigma as the bound on its error."""
    image = inputs["start"]
    return {"image": image, "error": np.ones_like(image[:, :1])}


def test_a_network_that_adds_nothing_is_the_linear_image_of_the_same_regularisation(case):
    strength = strength_of(case.calibration, case.acquired, 0.05)
    drawn = network(nothing_added, strength).draw(case)
    seen = close_support(case.calibration)
    problem = prepare_columns(case.calibration.maps * seen, case.acquired, 0.05, bounding_box(seen))
    wanted = solve_columns(invert_columns(problem), case.hybrid)
    assert np.linalg.norm(drawn.image - wanted) < 1e-4 * np.linalg.norm(wanted)
    assert (drawn.error[seen] == 1).all()
    assert drawn.outside == ()


def test_cases_outside_the_range_of_the_card_are_drawn_and_named(case):
    made_for = Range(
        acceleration=(4, 8), coils=(4, 32), matrix=(16, 512), snr=(1, 100), calibration_lines=(16, 32), contrast=("T1",)
    )
    assert network(nothing_added, 12.0, made_for).draw(case).outside == ("R 3, made for 4 to 8",)


def test_coverage_is_the_share_of_errors_under_their_bound(case):
    image = linear(case)
    where = case.head & case.calibration.inside
    bound = np.full(image.shape, np.quantile(np.abs(image - case.target)[where], 0.9), np.float32)
    row = judge(case, "network", Drawn(image, 1.0, bound))
    assert coverage([row])["mni"] == pytest.approx(0.9, abs=0.002)


def test_gains_are_differences_of_means_and_a_peer_that_is_better_is_named(case):
    best, worst = (evaluate(make, [case], name) for make, name in ((target, "linear"), (zero_filled, "network")))
    found = losses(summary(best + worst))
    assert {(loss.peer, loss.region) for loss in found if loss.metric == "psnr_db"} == {
        ("linear", "head"),
        ("linear", "brain"),
    }
    assert not losses(summary(evaluate(target, [case], "network") + evaluate(zero_filled, [case], "linear")))
    assert not benchmark(best + worst)  # neither test heads nor l1-wavelet among them


def test_the_report_writes_tables_pictures_and_figures_and_says_who_was_not_trained(tmp_path, disc, monkeypatch):
    pytest.importorskip("bartorch", reason="BART in process is not here: pip install 'scanside[bench]'")
    monkeypatch.setattr(write, "phantom_slices", lambda: iter([disc]))
    monkeypatch.setattr("trt_build.report.tuning.GRID", (0.005, 0.02))
    taken = []

    def steps(what, count):
        return lambda: taken.append((what, count))

    learned = [without_weights("unet"), without_weights("varnet"), network(nothing_added, 12.0)]
    learned.append(network(nothing_added, 12.0, withheld=0.1))
    document = write_report(tmp_path, Plan(tmp_path, accelerations=(4,)), learned, {"model": "none"}, steps)
    assert [count for _, count in taken] == [2] * 4
    assert json.loads((tmp_path / "report.json").read_text())["about"]["not trained"] == ["unet", "varnet"]
    assert document["about"]["not measured"] == ["heads", "shepp_logan", "real"]
    text = (tmp_path / "report.md").read_text()
    assert "| E2E-VarNet | not trained | not trained |" in text
    assert (tmp_path / "panels" / "disc_r4.png").stat().st_size > 10_000
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 1 + 2 * 7
    assert 0 < document["coverage"]["mni"] < 0.9
    assert {loss["peer"] for loss in document["losses"]} >= {"l1_wavelet"}
    means = {(m["pattern"], m["method"]): m["brain_psnr_db"] for m in document["means"]}
    assert means["equispaced", "l1_wavelet"] > means["equispaced", "zero_filled"]
    again = Plan(tmp_path, accelerations=(4,), earlier=read_earlier(tmp_path, CLASSICAL))
    later = write_report(tmp_path / "later", again, learned, {"model": "none"}, steps)
    assert [count for _, count in taken[4:]] == [2] * 2  # nothing was tuned again
    classical = [[m for m in made["means"] if m["method"] in CLASSICAL] for made in (document, later)]
    assert classical[0] == classical[1]
    with pytest.raises(ReportError, match="zero_filled was not measured on disc, equispaced R = 6"):
        write_report(tmp_path, replace(again, accelerations=(6,)), learned, {"model": "none"}, steps)


def test_a_peer_whose_weights_are_gone_stands_as_it_was(tmp_path, disc, monkeypatch):
    monkeypatch.setattr(write, "phantom_slices", lambda: iter([disc]))
    monkeypatch.setattr(write, "classical", lambda *_: [])
    plan = Plan(tmp_path, accelerations=(6,))
    rows = evaluate(zero_filled, list(plan.cases([disc])), "unet")
    write_csv(rows, tmp_path / "rows.csv")
    about = {"model": "older", "checkpoints": {"unet": "130 minutes", "network": "4 minutes"}}
    (tmp_path / "report.json").write_text(json.dumps({"about": about, "tuning": []}))
    again = replace(plan, earlier=read_earlier(tmp_path, (*CLASSICAL, "unet", "varnet")))
    peers = [without_weights("unet"), without_weights("varnet")]
    document = write_report(tmp_path / "later", again, peers, {"model": "none"}, lambda *_: lambda: None)
    assert document["about"]["not trained"] == ["varnet"]
    assert document["about"]["as in the report of older"] == ["unet"]
    assert again.earlier.checkpoints == {"unet": "130 minutes"}
    assert [m["brain_psnr_db"] for m in document["means"]] == pytest.approx([row.brain.psnr_db for row in rows])


@pytest.mark.parametrize("part", ["report", "landmarks"])
def test_what_is_published_is_of_the_models_that_ship(part):
    folder = Path(__file__).parents[2] / "trt_build" / part / "published"
    about = json.loads((folder / "report.json").read_text())["about"]
    assert load_model(about["model"]).hash == about["hash"]


def test_a_folder_without_a_report_is_none_to_go_on_from(tmp_path):
    with pytest.raises(ReportError, match="wanted the folder of an earlier report"):
        read_earlier(tmp_path, CLASSICAL)
    (tmp_path / "report.json").write_text("{}")
    (tmp_path / "rows.csv").write_text("group,name\n")
    with pytest.raises(ReportError, match="not a report that `scanside-build report` wrote"):
        read_earlier(tmp_path, CLASSICAL)
