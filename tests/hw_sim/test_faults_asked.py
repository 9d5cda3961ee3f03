import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_sim.errors import SimulationError
from hw_sim.faults import FAULTS, Asked, Place, Truth, ask, find_fault


@pytest.mark.parametrize("name", FAULTS)
def test_a_name_alone_means_the_defaults_that_are_listed(name):
    fault = FAULTS[name]
    asked = ask(name)
    assert asked.fault is fault
    assert asked.strength == fault.strength >= fault.least
    assert str(asked.place or "") == fault.place
    assert asked.keys == {key: value.default for key, value in fault.keys.items()}


@given(st.integers(0, 10**6), st.sampled_from(["", "s"]), st.floats(0, 1e6), st.integers(-1, 63))
def test_place_strength_and_keys_are_read_as_they_were_written(place, unit, strength, coil):
    asked = ask(f"spike@{place}{unit}:{strength!r}σ,coil={coil}, seed=4")
    assert asked.place == Place(place, unit)
    assert asked.strength == strength
    assert (asked.keys["coil"], asked.keys["seed"], asked.keys["sample"]) == (coil, 4, -1)


def test_axes_have_names_and_units_may_be_written():
    asked = ask("motion@50%:3mm,turn=-2deg,along=z,about=x")
    assert (asked.strength, asked.place) == (3, Place(50, "%"))
    assert (asked.keys["turn"], asked.keys["along"], asked.keys["about"]) == (-2, 2, 0)


def test_the_older_way_of_giving_a_place_holds_for_faults_that_name_none():
    assert ask("lose_line", at=20).place == Place(20)
    assert ask("lose_line@5", at=20).place == Place(5)
    assert ask("wrap", at=20).place is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("loose_line", "no fault called 'loose_line'. Did you mean 'lose_line'"),
        ("spike@@3", "wanted NAME@PLACE:STRENGTH,key=value, for example spike@120:10,coil=3"),
        ("spike@1.5", r"got place 1.5, wanted the number of an imaging readout \(120\), a time"),
        ("spike@120%", "got place 120%"),
        ("spike:much", "strength: got 'much', wanted a number of σ"),
        ("spike:3mm", "got '3mm', wanted a number of σ"),
        ("spike:-3", "got -3 σ, wanted at least 0"),
        ("noisy_coil:0.5", "got 0.5 × σ, wanted at least 1"),
        ("swapped_coils:3", "swapped_coils has no strength"),
        ("spike,coils=3", "spike has no 'coils', it has coil, sample, seed"),
        ("lose_line:1.5", "got 1.5 lines, wanted a whole number"),
        ("spike,coil=1.5", "got coil=1.5, wanted a whole number"),
        ("lose_line,coil=3", "lose_line has no 'coil', it has no details"),
        ("motion,along=q", "got along=q, wanted x, y or z"),
        ("motion,along=3", "got along=3, wanted x, y or z"),
        ("cough,lasts=0", "got lasts=0, wanted how long"),
        ("wrap@3:60", "wrap takes no place. Try wrap"),
        ("wrap:5", "got 5 %, wanted at least 10"),
    ],
)
def test_what_cannot_be_read_says_what_was_wanted(text, told):
    with pytest.raises(SimulationError, match=told):
        ask(text)


def test_a_fault_is_found_with_hyphens_too():
    assert find_fault("dead-coil") is FAULTS["dead_coil"]


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_does_its_work_at_one_place_and_has_a_unit_if_it_has_a_strength(name):
    fault = FAULTS[name]
    assert fault.what
    assert any((fault.order, fault.world, fault.node, fault.cut))
    assert bool(fault.unit) == bool(fault.strength)
    assert isinstance(ask(name), Asked)


def test_a_truth_is_told_in_one_line_and_in_json_by_runs():
    truth = Truth("dead_coil", "", 60, "dB", {"coil": 2}, (2,), 0.1, [5, 6, 7, 9], {0: [1, 2], 3: [8]})
    assert str(truth) == "dead_coil: 4 readouts from 0.100 s on, slices 0, 3, 60 dB, coils 2"
    told = truth.as_json()
    assert told["readouts"] == [[5, 7], [9, 9]]
    assert told["lines"] == {"0": [[1, 2]], "3": [[8, 8]]}
    assert str(Truth("vanish", "40", 0, "", {})) == "vanish@40"
