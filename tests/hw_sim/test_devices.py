import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hw_sim.clock import Jitter, VirtualClock, WallClock
from hw_sim.devices import AT_REST, Motion, Pose, Table

TIMES = st.lists(st.integers(0, 20_000_000_000), max_size=6)


@given(st.floats(-500, 500), st.floats(-500, 500), TIMES, st.integers(0, 20_000_000_000))
def test_looking_at_the_table_does_not_move_it(start, target, looks, end):
    table = Table(start, target)
    looked = table
    for time_ns in sorted(look for look in looks if look <= end):
        looked = looked.at(time_ns)
    assert np.isclose(looked.at(end).position_mm, table.at(end).position_mm, atol=1e-6)


@given(st.floats(-500, 500), st.floats(-500, 500))
def test_the_table_reaches_its_target_and_stays(start, target):
    assert np.isclose(Table(start, target).at(10**12).position_mm, target)


@given(st.tuples(*[st.floats(-20, 20)] * 3), st.tuples(*[st.floats(-90, 90)] * 3))
def test_motion_is_rigid(shift, turn):
    points = np.random.default_rng(0).normal(size=(5, 3)) * 50
    moved = Pose(shift, turn).to_patient(points)
    assert np.allclose(np.linalg.norm(np.diff(points, axis=0), axis=1), np.linalg.norm(np.diff(moved, axis=0), axis=1))


@given(*[st.tuples(*[st.floats(-20, 20)] * 3)] * 2, *[st.tuples(*[st.floats(-90, 90)] * 3)] * 2)
def test_one_movement_after_another_is_one_movement(shift, more_shift, turn, more_turn):
    first, second = Pose(shift, turn, 3.0), Pose(more_shift, more_turn, 4.0)
    points = np.random.default_rng(0).normal(size=(5, 3)) * 50
    assert np.allclose(first.then(second).to_patient(points), first.to_patient(second.to_patient(points)))
    assert first.then(second).table_mm == 7


def test_a_patient_rests_moves_and_rests_again():
    motion = Motion(end=Pose((0, 0, 10)), begins_ns=100, lasts_ns=100)
    assert [motion.at(t).shift_mm[2] for t in (0, 150, 200, 999)] == [0, 5, 10, 10]
    assert motion.at(0) == AT_REST


def test_points_turn_against_the_patient():
    quarter = Pose(turn_deg=(0, 0, 90))  # what lay on the left (+x) now lies behind (+y)
    assert np.allclose(quarter.to_patient(np.array([0.0, 50.0, 0.0])), [50.0, 0.0, 0.0])


def test_the_wall_clock_waits_and_the_virtual_one_does_not():
    wall = WallClock()
    wall.wait_until(0)
    late_ns = wall.wait_until(20_000_000)
    assert 0 <= late_ns < 1_000_000_000
    assert VirtualClock().wait_until(10**15) == 0


def test_jitter_is_told_in_ms():
    assert Jitter.of([1_000_000] * 3) == Jitter(1.0, 1.0)
