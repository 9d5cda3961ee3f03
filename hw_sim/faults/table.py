"""All faults by name."""

from typing import Final

from hw_sim.errors import SimulationError
from hw_sim.faults import coils, field, motion, readouts
from hw_sim.faults.fault import Asked, Fault, Key
from hw_sim.link import Cut
from protocols.simulate import Simulate

__all__ = ["FAULTS"]

ALL: Final = {"coil": Key(-1, "", "by number, -1: all")}
ONE: Final = {"coil": Key(2, "", "by number, -1: all")}
SEED: Final = {"seed": Key(0, "", "another number, other random numbers")}
SHIFT: Final = Key(1, "", "axis of the shift: x, y or z", axis=True)
MOVES: Final = {
    "turn": Key(0, "deg", "rotation of the patient"),
    "along": SHIFT,
    "about": Key(2, "", "axis of the turn: x, y or z", axis=True),
}
SIGMAS: Final = "σ"  # standard deviations of a coil's noise


def _narrow(asked: Asked, simulate: Simulate) -> Simulate:
    """Order a field of view that is too small along phase, with as many pixels."""
    if not 10 <= asked.strength <= 100:
        raise SimulationError(f"wrap: got {asked.strength:g} %, wanted 10 to 100. Try wrap:60")
    along_read, along_phase = simulate.fov_mm
    return simulate.model_copy(update={"fov_mm": (along_read, along_phase * asked.strength / 100)})


def _cut_at(asked: Asked) -> int:
    if asked.place is None or asked.place.unit:
        raise SimulationError(f"{asked.fault.name}: wanted a plain number as its place. Try {asked.fault.name}@1000")
    return int(asked.place.value)


LINES: Final = (
    Fault("lose_line", "lines never come", "lines", 1, 1, "50%", node=readouts.lose),
    Fault("repeat_line", "lines come twice", "lines", 1, 1, "50%", node=readouts.repeat),
    Fault("late_line", "a line is overtaken by others", "readouts", 8, 1, "50%", node=readouts.late),
    Fault(
        "nan_samples",
        "a sample of a line is not a number",
        place="50%",
        keys={"coil": Key(0, "", "by number, -1: all")},
        node=readouts.not_a_number,
    ),
    Fault("saturate", "a line is clipped by the ADC", "× range", 4, 1, "50%", node=readouts.saturate),
    Fault(
        "spike",
        "a spark hits one sample of a line",
        SIGMAS,
        100,
        place="50%",
        keys=ALL | {"sample": Key(-1, "", "of the readout, -1: a third of the way")} | SEED,
        node=readouts.spike,
    ),
)
COILS: Final = (
    Fault("dead_coil", "a coil receives next to nothing", "dB", 60, keys=ONE, node=coils.dead),
    Fault("detuned_coil", "a coil couples less to the patient", "dB", 6, keys=ONE | SEED, node=coils.detuned),
    Fault("noisy_coil", "the noise of a coil is higher", "× σ", 5, 1, keys=ONE | SEED, node=coils.noisy),
    Fault(
        "swapped_coils",
        "two coils have exchanged their receivers",
        keys={"coil": Key(0, "", "by number"), "with": Key(1, "", "the coil of the other receiver")},
        node=coils.swapped,
    ),
    Fault("gain_drop", "receivers lose gain", "dB", 6, place="50%", keys=ALL, node=coils.gain_drop),
    Fault("noise_rise", "the noise of all coils is higher", "× σ", 2, 1, keys=SEED, node=coils.noise_rise),
)
FIELD: Final = (
    Fault(
        "zipper",
        "a transmitter is heard at one frequency",
        SIGMAS,
        3,
        keys=ALL | {"hz": Key(10_000, "Hz", "off the centre, or swing of the field")} | SEED,
        node=field.zipper,
    ),
    Fault("b0_drift", "the main field drifts", "Hz/s", 10, -1e6, node=field.b0_drift),
    Fault("phase_instability", "the phase jumps from shot to shot", "deg", 20, keys=SEED, node=field.phase_instability),
)
PATIENT: Final = (
    Fault("motion", "the patient moves and stays there", "mm", 3, -1e3, "50%", keys=MOVES, world=motion.motion),
    Fault(
        "cough",
        "the patient moves and comes back",
        "mm",
        5,
        -1e3,
        "50%",
        keys=MOVES | {"lasts": Key(0.6, "s", "how long", 1e-3)},
        world=motion.cough,
    ),
    Fault(
        "breathing",
        "the patient moves to and fro, the main field with him",
        "mm",
        1,
        -1e3,
        keys={
            "period": Key(4, "s", "of a breath", 1e-3),
            "hz": Key(3, "Hz", "swing of the field"),
            "along": SHIFT,
        },
        world=motion.breathing,
        node=motion.breathing_field,
    ),
    Fault("table_shift", "the table slips, patient and coils on it", "mm", 10, -1e3, "50%", world=motion.table_shift),
    Fault(
        "wrong_calibration",
        "calibration lines are of another position",
        "mm",
        10,
        -1e3,
        placed=False,
        keys=MOVES,
        world=motion.wrong_calibration,
    ),
    Fault("wrap", "the field of view along phase is too small", "%", 60, 10, placed=False, order=_narrow),
)
ENDS: Final = (
    Fault(
        "vanish",
        "gone in the middle of a readout",
        place="40",
        cut=lambda asked: Cut(readout=_cut_at(asked)),
    ),
    Fault("cut", "gone after so many bytes", place="40", cut=lambda asked: Cut(byte=_cut_at(asked))),
)
FAULTS: Final = {fault.name: fault for fault in (*LINES, *COILS, *FIELD, *PATIENT, *ENDS)}
