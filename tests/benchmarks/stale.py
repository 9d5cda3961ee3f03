"""A patient who has moved by 5 mm or 5 degrees since the scout: is he told of, and is anybody told of who lay still?

Scouts and slices of the test subjects and of the MNI head through `remember` and `placed`, without sockets:
slices are drawn, those of a three-plane scout as well; 3-D scouts are reconstructed from drawn k-space. Scouts are
T1-weighted; slices are so, too, or in another contrast. Nobody is told of where nothing can be told (UNKNOWN): such a
move counts as missed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from engines.positioning.follow_up import carried
from engines.positioning.place import place as placed_stack
from engines.positioning.rigid import Moved
from gadgets.placed import placed
from gadgets.remember import remember
from hw_sim.coils import head_array
from hw_sim.devices import Pose
from hw_sim.exam import sequence_of
from hw_sim.head import mni_head
from hw_sim.tissue import TISSUES, Contrast, Tissue, contrast, spin_echo, spoiled_gradient_echo
from hw_sim.truth import MNI_AT_REST
from protocols.anatomy import find_anatomy
from protocols.events import Flag, Prescription
from protocols.geometry import Grid, lps_from_pixel, place
from protocols.messages import Feedback, Image
from protocols.mrd import IMAGE
from protocols.prescription import NAME, Answer, encode
from protocols.stack import Stack, centres_mm
from tests.benchmarks.advice import share
from tests.benchmarks.latency import say
from tests.making import context, scan
from trt_build.landmarks.acquired import LOCALIZER, SLAB, slab, three_planes
from trt_build.landmarks.drawn import CONTROL, MIDDLE_MM, Drawn, HeadPose
from trt_build.landmarks.heads import Subject, subjects
from trt_build.landmarks.judge import truth_of

HEADS = Path("../shared/data/heads")
PLAN = "brain_axial"
SNR = (5.0, 30.0)
LEAST, MOST = 5.0, 15.0  # mm or degrees that a patient has moved
STILL = 1.0  # mm and degrees that one who lies still may
POSES = 3  # of each head
PIXELS = 96
MOVES = ("shift", "turn")
INNER, OUTER = ("csf", "grey", "white"), ("bone", "muscle", "fat")  # of which T1 rises from one to the next
FAT_LEFT = 0.1  # after a saturation pulse
ID = "00000000000000ab"


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A head at rest: what is seen at places (n, 3) in the scout's contrast, in another one; where slices lie."""

    name: str
    scout: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # signal and brain
    scanned: Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]
    stack: Stack


@dataclass(frozen=True, slots=True)
class Case:
    """One scan after a scout, and what was said of it."""

    body: str
    kind: str  # still, or one of MOVES
    size: float  # mm or degrees
    along: tuple[float, float, float]
    scout_snr: float
    snr: float
    sequential: bool  # slices from below, else every other one
    severity: str
    message: str
    evidence: dict[str, float]


def run(scans: int = 126, seed: int = 5) -> dict[str, dict[str, object]]:
    """Shares with their 95 % intervals, of scans after a volume and of as many after three planes."""
    volume, planes = ([*cases(scans, seed, kind)] for kind in (volume_scout, three_plane_scout))
    return {**shares(volume), **{f"{name}_three_planes": value for name, value in shares(planes).items()}}


def shares(rows: list["Case"]) -> dict[str, dict[str, object]]:
    """Moves told of, still ones told of, and scans of which nothing can be told."""
    moved, still = ([row for row in rows if (row.kind == "still") == lies] for lies in (False, True))
    unknown = [row for row in rows if row.severity == "UNKNOWN"]
    return {
        "position_stale": share(sum(row.severity == "WARN" for row in moved), len(moved)),
        "position_stale_false": share(sum(row.severity == "WARN" for row in still), len(still)),
        "position_stale_unknown": share(len(unknown), len(rows)),
    }


def cases(scans: int, seed: int, scouted: Callable[..., Iterator[Image]]) -> Iterator[Case]:
    """Two scans of three after a move, shift and turn by turns."""
    chance = np.random.default_rng(seed)
    known = [*bodies()]
    rounds = max(1, scans // (3 * POSES * len(known)))
    for body in known:
        for _ in range(POSES):
            pose = Pose(tuple(chance.uniform(-25, 25, 3)), tuple(chance.uniform(-12, 12, 3)))
            snr = float(chance.uniform(*SNR))
            surroundings = context(of=replace(scan(), patient_position="HFS", measurement_id="scout"))
            list(remember(surroundings)(scouted(body, pose, snr, chance)))
            for _ in range(rounds):
                for kind in ("still", *MOVES):
                    yield judged(body, pose, snr, kind, surroundings, chance)


def judged(body, pose, scout_snr, kind, surroundings, chance):
    """Move the patient, measure slices where they were prescribed, and listen."""
    stack = carried(body.stack, moved_by(pose))
    by, size, along = motion(kind, np.array(stack.centre_mm), chance)
    snr, sequential = float(chance.uniform(*SNR)), bool(chance.random() < 0.5)
    slices = sliced(body, stack, pose.then(by), snr, sequential, chance)
    asked = Prescription(
        id=ID,
        status="OK",
        patient_position="HFS",
        stack=stack,
        anatomy="head",
        plan=PLAN,
        scout_measurement_id="scout",
    )
    answer = Answer(id=ID, decision="accepted", patient_position="HFS", stack=stack)
    words = (Feedback(NAME, encode(said)) for said in (asked, answer))
    heard = placed(surroundings)(iter([*words, *slices]))
    (flag,) = (one for one in heard if isinstance(one, Flag) and one.code == "displaced")
    return Case(
        body.name, kind, size, along, scout_snr, snr, sequential, flag.severity.value, flag.message, flag.evidence
    )


def motion(kind, middle, chance):
    """A shift, a turn about the middle of the slices, or next to nothing of both; its size, its direction."""
    along, other = (v / np.linalg.norm(v) for v in chance.standard_normal((2, 3)))
    size = float(chance.uniform(LEAST, MOST))
    if kind == "shift":
        return Pose(tuple(size * along)), size, tuple(along)
    turn = Pose(turn_deg=tuple((STILL * chance.random() if kind == "still" else size) * along))
    shift = middle - turn.from_patient(middle) + (STILL * chance.random() * other if kind == "still" else 0.0)
    return replace(turn, shift_mm=tuple(shift)), 0.0 if kind == "still" else size, tuple(along)


def volume_scout(body, pose, snr, chance):
    """The 3-D scout of a head, as the chain makes it."""
    made = slab(drawn(body, pose, SLAB), snr, chance)
    size = SLAB.shape[::-1]
    grid = Grid(size, tuple(SLAB.voxel_mm * size), (0.0, 0.0, 0.0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    yield Image(place(np.zeros(1, IMAGE)[0], grid), made.pixels[None])


def three_plane_scout(body, pose, snr, chance):
    """Five slices of each plane."""
    for number, (pixels, grid) in enumerate(three_planes(drawn(body, pose, LOCALIZER), snr, chance)):
        header = place(np.zeros(1, IMAGE)[0], grid)
        header["slice"] = number
        yield Image(header, pixels[None])


def drawn(body, pose, grid):
    """A head on the finer grid of a scout."""
    x, y, z = grid.axes_mm()
    signal, brain = body.scout(pose.to_patient(np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], -1)))
    return Drawn(signal, brain, np.zeros((0, 3)), np.zeros(0, np.bool_))


def sliced(body, stack, pose, snr, sequential, chance):
    """The first half of the slices of a stack, noisy magnitudes; the array shades them as it does the scout."""
    half = -(-stack.slices // 2)
    numbers = range(half) if sequential else range(0, stack.slices, 2)
    contrast_seed = int(chance.integers(2**31))
    fov, centres = (*stack.field_of_view_mm, stack.thickness_mm), centres_mm(stack)
    index = np.stack(np.meshgrid(range(PIXELS), range(PIXELS), (0.0,), indexing="xy"), -1)[:, :, 0]
    grids = [
        Grid((PIXELS, PIXELS, 1), fov, tuple(centres[number]), stack.read_dir, stack.phase_dir, stack.slice_dir)
        for number in numbers
    ]
    flat = np.stack([lps_from_pixel(grid, index) for grid in grids])
    depth = np.array(stack.slice_dir) * stack.thickness_mm / 4
    sides = [
        body.scanned(pose.to_patient(flat + side * depth), np.random.default_rng(contrast_seed)) for side in (-1, 1)
    ]
    signal, brain = (sum(parts) / 2 for parts in zip(*sides, strict=True))
    signal = signal * bright(flat)
    sigma = float(signal[brain > 0.5].mean()) / snr
    noise = sigma * chance.standard_normal((2, *signal.shape))
    for number, grid, pixels in zip(numbers, grids, np.hypot(signal + noise[0], noise[1]), strict=True):
        header = place(np.zeros(1, IMAGE)[0], grid)
        header["slice"] = number
        yield Image(header, pixels[None, None].astype(np.float32))


def moved_by(pose):
    """A pose as the engine writes one."""
    turn = (pose.from_patient(np.eye(3)) - np.array(pose.shift_mm)).T
    return Moved(turn, np.array(pose.shift_mm))


@lru_cache(maxsize=1)
def _lattice():
    line = np.linspace(-150, 150, 16)
    places = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1)
    array = head_array(16)
    white = np.linalg.solve(np.linalg.cholesky(array.covariance), array.field(places).reshape(16, -1))
    seen = np.sqrt((np.abs(white) ** 2).sum(0)).reshape(places.shape[:-1])
    return np.minimum(seen, np.percentile(seen, 95))


def bright(places_mm):
    """What the whitened array sees at places: roots of summed squares; no more than a coil's own neighbourhood."""
    return ndimage.map_coordinates(_lattice(), np.moveaxis(places_mm, -1, 0) / 20 + 7.5, order=1, mode="nearest")


def bodies() -> Iterator[Body]:
    """The MNI head, and the test subjects where they are there."""
    yield _mni()
    if not HEADS.is_dir():
        say(f"stale: no heads in {HEADS}, the MNI head alone")
        return
    for subject in subjects(HEADS, "test"):
        yield _of(subject)


def _mni():
    """The template, in the contrasts of the 3-D scout and of the gradient echo that saturates fat."""
    then, now = (contrast(sequence_of(name)[1], 10) for name in ("scout_3d", "brain_gre_r4"))

    def seen(places, weight):
        return mni_head().image(places, weight), mni_head().image(
            places, lambda tissue: float(tissue.name in {"grey", "white"})
        )

    return Body("mni", lambda places: seen(places, then), lambda places, _: seen(places, now), MNI_AT_REST[PLAN])


def _of(subject: Subject) -> Body:
    """A real head: what its T1 volume shows is taken for tissues, in the brain others than around it."""
    straight = HeadPose(np.eye(3), np.zeros(3), np.eye(3) / subject.pose.scale, np.zeros((3, *(CONTROL,) * 3)))
    truth = truth_of(subject, straight)
    inverse = np.linalg.inv(subject.affine)
    knots = np.array((0.0, *subject.levels)), np.array((0.0, 0.12, 0.75 * subject.levels[2], 0.95))

    def seen(places, weight):
        there = (places + MIDDLE_MM) @ subject.pose.turn.T + subject.pose.shift_mm
        voxels = np.moveaxis(there @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
        t1, brain = (ndimage.map_coordinates(v, voxels, order=1) for v in (subject.t1, subject.brain))
        if weight is None:
            return t1, brain
        inner, outer = (
            np.interp(t1, at, (0.0, *(weight(TISSUES[name]) for name in names)))
            for at, names in zip(knots, (INNER, OUTER), strict=True)
        )
        return outer + np.clip(2 * brain - 0.5, 0, 1) * (inner - outer), brain

    return Body(
        subject.name,
        lambda places: seen(places, None),
        lambda places, chance: seen(places, sequence(chance)),
        placed_stack(find_anatomy("head"), PLAN, truth.points, truth.surfaces),
    )


def sequence(chance: np.random.Generator) -> Contrast:
    """One of those that heads are scanned with, its times varied by a tenth; in two of five fat is saturated."""
    made = SEQUENCES[int(chance.integers(len(SEQUENCES)))]
    left = FAT_LEFT if chance.random() < 0.4 else 1.0
    longer = np.exp(0.1 * chance.standard_normal(2))
    return lambda tissue: (left if tissue.name == "fat" else 1.0) * made(tissue, *longer)


def _inverted(tissue: Tissue, tr_ms: float, te_ms: float, ti_ms: float) -> float:
    """Magnitude of an inversion recovery with a spin echo."""
    along = abs(1 - 2 * np.exp(-ti_ms / tissue.t1_ms) + np.exp(-tr_ms / tissue.t1_ms))
    return tissue.proton_density * along * np.exp(-te_ms / tissue.t2_ms)


SEQUENCES = (
    lambda tissue, tr, te: spoiled_gradient_echo(tissue, 160 * tr, 5 * te, 18),
    lambda tissue, tr, te: spin_echo(tissue, 550 * tr, 12 * te),
    lambda tissue, tr, te: spin_echo(tissue, 4500 * tr, 95 * te),
    lambda tissue, tr, te: spin_echo(tissue, 3000 * tr, 20 * te),
    lambda tissue, tr, te: _inverted(tissue, 9000 * tr, 95 * te, 2500 * tr),
    lambda tissue, tr, te: _inverted(tissue, 2000 * tr, 4 * te, 900 * tr),
)
