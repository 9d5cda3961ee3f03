"""How an answer is read: in order, with a region inside the image, and never where it is not finite."""

import numpy as np
import pytest

from engines.artefacts.findings import findings
from engines.artefacts.names import ARTEFACTS, BORDER
from engines.card import parse_card
from engines.errors import EngineError, ModelError
from engines.model import load_model
from tests.tiny_artefacts import make_artefacts
from tests.tiny_model import make_model

SHAPE = (90, 64)
COUNT = len(ARTEFACTS)


def told(**changes):
    place = np.zeros((1, COUNT, 6, 4), np.float32)
    place[0, :, 5, 1] = 1.0
    place[0, :, 4, 2] = 0.8
    each = np.arange(COUNT, dtype=np.float32)[None] / COUNT
    return {"probability": each, "severity": 10 * each, "place": place, **changes}


def test_findings_are_in_the_order_of_the_outputs():
    found = findings(told(), SHAPE)
    assert tuple(finding.artefact for finding in found) == ARTEFACTS
    assert [finding.probability for finding in found] == pytest.approx(told()["probability"][0])
    assert [finding.severity for finding in found] == pytest.approx(told()["severity"][0])


def test_a_region_is_the_box_of_the_strongest_cells_and_ends_with_the_image():
    for finding in findings(told(), SHAPE):
        assert finding.region == (4 * BORDER, SHAPE[0], BORDER, 3 * BORDER)


def test_places_that_say_all_the_same_are_the_whole_image():
    everywhere = findings(told(place=np.ones((1, COUNT, 6, 4), np.float32)), SHAPE)
    assert {finding.region for finding in everywhere} == {(0, SHAPE[0], 0, SHAPE[1])}


@pytest.mark.parametrize("port", ["probability", "severity", "place"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_none(port, value):
    with pytest.raises(EngineError, match=f"output '{port}' is not finite"):
        findings(told(**{port: np.full_like(told()[port], value)}), SHAPE)


def test_an_answer_of_another_shape_says_what_was_wanted():
    with pytest.raises(EngineError, match=r"'probability': got \(1, 3\), wanted \(1, 8\)"):
        findings(told(probability=np.zeros((1, 3), np.float32)), SHAPE)


def test_a_card_of_artefacts_needs_no_strength_and_one_of_images_does(tmp_path):
    assert load_model(make_artefacts(tmp_path), allow_unsigned=True).card.task == "artefacts"
    text = (make_model(tmp_path) / "card.toml").read_text(encoding="utf-8")
    with pytest.raises(ModelError, match=r"got no strength, wanted one with task = \"unrolled\""):
        parse_card("\n".join(line for line in text.splitlines() if not line.startswith("strength")), "card.toml")
