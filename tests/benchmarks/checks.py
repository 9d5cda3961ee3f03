"""What the checks of raw data find and what they flag for nothing, over thousands of simulated readouts and scans."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from engines.quality.spikes import find_spikes, predictor
from gadgets.accumulate import accumulate
from gadgets.calibrate import calibrate
from gadgets.context import Context, Memory
from gadgets.oversampling import oversampling
from gadgets.raw_coils import coils
from gadgets.raw_drift import drift
from gadgets.raw_symmetry import symmetry
from gadgets.raw_zipper import zipper
from gadgets.reconstruct import reconstruct
from gadgets.whiten import whiten
from hw_sim.campaign import campaign
from hw_sim.campaign_plan import draw, hunted
from hw_sim.campaign_table import Share, any_flag
from hw_sim.coils import head_array
from hw_sim.exam import patient_of, sequence_of
from hw_sim.faults import FAULTS, Truth, ask, stage
from hw_sim.pacing import singly
from hw_sim.paperwork import Order
from hw_sim.plugin import started
from hw_sim.scanner import Scanner
from hw_sim.sequencer import Kind
from protocols.events import Flag, Severity
from protocols.stream import chain

COILS = 8
OVER = predictor(0.5)
BRIGHT = (1.0, 8.0)  # signal as the scan protocol has it, and so many times stronger


def scene(body, protocol="brain_gre_r4", **changes):
    """A prepared scan of one slice, to be played with noise of any seed."""
    _, simulate = sequence_of(protocol)
    small = {"slices": 1, "matrix": (96, 96), "noise_readouts": 16, **changes}
    return Scanner(patient_of(body), head_array(COILS)).prepare(simulate.model_copy(update=small), Order(protocol))


def again(played, seed):
    """The same scan with other noise."""
    source = replace(played.source, scanner=replace(played.source.scanner, seed=seed))
    return replace(played, source=source)


def signals() -> Iterator[np.ndarray]:
    """Noise-free readouts (readout, coil, sample) in units of the noise, of two bodies in three slices."""
    for body in ("mni", "phantom"):
        for height in (-10.0, 15.0, 35.0):
            played = scene(body, centre_mm=(0.0, 0.0, height))
            shots = played.plan["kind"] == Kind.IMAGING
            poses = tuple(pose for pose, shot in zip(played.poses, shots, strict=True) if shot)
            quiet = played.source.signal(played.plan[shots], poses) * np.float32(played.frontend.gain)
            for bright in BRIGHT:
                yield (bright * quiet / played.frontend.sigma[:, None]).astype(np.complex64)


def noisy(quiet, chance):
    white = chance.standard_normal((*quiet.shape, 2), np.float32).view(np.complex64)[..., 0]
    return quiet + white * np.float32(0.5**0.5)


def sparked(quiet, chance):
    """One spike in every readout, ten noise standard deviations above the largest of the five samples around it."""
    samples, rows = noisy(quiet, chance), np.arange(len(quiet))
    coil, place = chance.integers(COILS, size=len(quiet)), chance.integers(quiet.shape[2], size=len(quiet))
    around = np.clip(place[:, None] + np.arange(-2, 3), 0, quiet.shape[2] - 1)
    local = np.abs(quiet[rows[:, None], coil[:, None], around]).max(axis=1)
    samples[rows, coil, place] = (local + 10) * np.exp(2j * np.pi * chance.random(len(quiet)))
    return samples, set(zip(rows.tolist(), coil.tolist(), place.tolist(), strict=True))


def spikes(scale: float) -> dict[str, dict[str, object]]:
    chance = np.random.default_rng(1)
    hits = planted = false = readouts = 0
    for quiet in signals():
        for _ in range(round(15 * scale)):
            samples, put = sparked(quiet, chance)
            found = find_spikes(samples, OVER)
            got = set(zip(found.readout.tolist(), found.coil.tolist(), found.sample.tolist(), strict=True))
            hits, planted = hits + len(got & put), planted + len(put)
        for _ in range(round(800 * scale)):
            found = find_spikes(noisy(quiet, chance), OVER)
            false, readouts = false + len(np.unique(found.readout)), readouts + len(quiet)
    return {
        "spike_sensitivity": entry(Share(hits, planted), 0.99),
        "spike_false_per_readout": entry(Share(false, readouts), 1e-5),
    }


def told(gadget, played, fault, workers, batches, memory=None):
    """Flags of a check about a scan with a fault."""
    protocol, _ = sequence_of(played.scan.protocol_name)
    context = Context(played.scan, protocol, workers, memory=memory or Memory())
    stream, truth = iter(played.readouts()), Truth("", "", 0.0, "", {})
    if fault:
        asked = ask(fault)
        truth = Truth(asked.fault.name, "", asked.strength, asked.fault.unit, dict(asked.keys))
        stream = FAULTS[asked.fault.name].node(asked, played, truth)(stream)
    readouts = singly(stream) if gadget is zipper else stream
    flags = [m for m in gadget(context)(_first(readouts, batches)) if isinstance(m, Flag)]
    return [flag for flag in flags if flag.severity in (Severity.WARN, Severity.FAIL)]


def compared(context):
    """The noise of a scan against that of earlier ones."""
    return chain(whiten(context), drift(context))


def _first(messages, count):
    for number, message in enumerate(messages):
        if number == count:
            return
        yield message


def coil_faults(scale: float) -> dict[str, dict[str, object]]:
    """Dead and detuned coils that are named, sound scans in which any coil is flagged."""
    chance = np.random.default_rng(2)
    bodies = [scene(body, centre_mm=(0.0, 0.0, 15.0)) for body in ("mni", "phantom")]
    dead, detuned, false = [0, 0], [0, 0], [0, 0]
    memories = Memory(), Memory()  # one a body: noise is compared with that of earlier scans
    with ThreadPoolExecutor(1) as workers:
        for number in range(round(5000 * scale)):
            played = again(bodies[number % 2], number)
            memory = memories[number % 2]
            flags = told(coils, played, "", workers, 1)
            flags += [flag for flag in told(compared, played, "", workers, 1, memory) if flag.code == "noise_drift"]
            false = [false[0] + bool(flags), false[1] + 1]
            if number % 5 or number < 8:
                continue
            coil = int(chance.integers(COILS))
            flags = told(coils, played, f"dead_coil,coil={coil}", workers, 1)
            right = {flag.evidence.get("coil") for flag in flags if flag.code in ("coil_gain", "coil_signal")}
            dead = [dead[0] + (right == {coil}), dead[1] + 1]
            flags = told(compared, played, f"detuned_coil:6,coil={coil},seed={number}", workers, 1, memory)
            right = {flag.evidence.get("coil") for flag in flags if flag.code == "noise_drift"}
            detuned = [detuned[0] + (right == {coil}), detuned[1] + 1]
    return {
        "coil_sensitivity": entry(Share(*dead), 0.99),
        "coil_detuned_sensitivity": entry(Share(*detuned), 0.95),
        "coil_false_per_scan": entry(Share(*false), 1e-3),
    }


def zippers(scale: float) -> dict[str, dict[str, object]]:
    """Transmitters of two to ten times the noise anywhere in the band, told at their frequency."""
    chance = np.random.default_rng(3)
    bodies = [scene(body, centre_mm=(0.0, 0.0, 15.0)) for body in ("mni", "phantom")]
    band = 260.0 * 192
    hits = total = 0
    with ThreadPoolExecutor(1) as workers:
        for number in range(round(400 * scale)):
            hertz, strength = chance.uniform(-0.48, 0.48) * band, chance.uniform(2, 10)
            played = again(bodies[number % 2], number)
            flags = told(zipper, played, f"zipper:{strength:.2f},hz={hertz:.0f},seed={number}", workers, 10_000)
            hits += any(abs(flag.evidence["offset_hz"] - hertz) < band / 192 for flag in flags)
            total += 1
    return {"zipper_sensitivity": entry(Share(hits, total), 0.99)}


def frame_motion(scale: float) -> dict[str, dict[str, object]]:
    """Motion of 2 to 5 mm or degrees while a single frame with calibration lines in its middle is taken.

    Shifts in the plane of the slice count by themselves, since motion through it and turns change less of it, or
    nothing; of those within the calibration lines nothing can be told, and `unknown` says how many that are.
    """
    chance = np.random.default_rng(4)
    bodies = [patient_of(body) for body in ("mni", "phantom")]
    said: dict[str, list[Severity]] = {kind: [] for kind in ("still", "in_plane", "through_plane", "turned")}
    with ThreadPoolExecutor(1) as workers:
        for number in range(round(200 * scale)):
            kind = "still" if number % 2 else str(chance.choice(list(said)[1:], p=[0.5, 0.25, 0.25]))
            flag = framed(bodies[number // 2 % 2], moving(kind, chance), chance, number, workers)
            said[kind].append(flag.severity)
    told = {kind: Share(sum(one.broken for one in words), len(words)) for kind, words in said.items()}
    unknown = Share(said["in_plane"].count(Severity.UNKNOWN), len(said["in_plane"]))
    return {
        "frame_motion_false": entry(told["still"], 0.005),
        "frame_motion_in_plane": entry(told["in_plane"]),
        "frame_motion_in_plane_unknown": entry(unknown),
        "frame_motion_through_plane": entry(told["through_plane"]),
        "frame_motion_turned": entry(told["turned"]),
    }


def moving(kind, chance):
    """A fault of that kind somewhere in the middle of the lines."""
    size, place = chance.uniform(2, 5), chance.uniform(35, 90)
    in_plane, any_axis = chance.choice(list("xy")), chance.choice(list("xyz"))
    return {
        "still": (),
        "in_plane": (f"motion@{place:.1f}%:{size:.2f},along={in_plane}",),
        "through_plane": (f"motion@{place:.1f}%:{size:.2f},along=z",),
        "turned": (f"motion@{place:.1f}%:0,turn={size:.2f},about={any_axis}",),
    }[kind]


def framed(body, faults, chance, seed, workers):
    """What is said of a slice at a random place, with the noise of a random scanner."""
    protocol, simulate = sequence_of("brain_gre_r4")
    centre = tuple(chance.uniform((-8, -8, -15), (8, 8, 40)).tolist())
    small = {"slices": 1, "matrix": (128, 128), "noise_readouts": 16, "centre_mm": centre}
    small = simulate.model_copy(update={**small, "snr": float(chance.uniform(60, 150))})
    scanner = Scanner(body, head_array(COILS), seed=seed)
    staged = stage(scanner, small, Order(protocol.name), [ask(fault) for fault in faults])
    flags = []
    context = Context(staged.played.scan, protocol, workers, tell=flags.append)
    gadgets = (whiten, oversampling, accumulate, calibrate, reconstruct, symmetry)
    for _ in chain(*(gadget(context) for gadget in gadgets))(staged.stream()):
        pass
    (flag,) = flags
    return flag


def clean(scale: float) -> dict[str, dict[str, object]]:
    """Sound scans with any WARN or FAIL, through a plugin of their own."""
    trials = [draw(number, 11, hunted(), 1.0, ("mni", "phantom")) for number in range(round(60 * scale))]
    with started(Path("out/bench_checks.log")) as address:
        share = any_flag(list(campaign(trials, address)))
    return {"clean_flag_rate": entry(share, 0.02)}


def entry(share: Share, goal: float | None = None) -> dict[str, object]:
    """A share with its 95 % interval, beside what it should be."""
    low, high = share.interval
    made = {"value": share.value, "unit": f"of {share.of}", "low": low, "high": high}
    if goal is None:
        return made
    ratio = share.value / goal if goal > 0.5 else goal / share.value if share.value else 0.0
    return {**made, "peer": "goal", "peer_value": goal, "ratio": ratio}


def run(scale: float = 1.0) -> dict[str, dict[str, object]]:
    """All of them; about three minutes on a quiet machine."""
    return {**spikes(scale), **coil_faults(scale), **zippers(scale), **frame_motion(scale), **clean(scale)}
