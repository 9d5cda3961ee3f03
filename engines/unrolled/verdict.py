"""One word on whether a network image can be trusted, from several cues and their limits, with the reasons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from protocols.limits import QualityLimit

__all__ = ["Cue", "Verdict", "Word", "excess", "verdict_of"]

FAR: Final = 1.5  # times its limit, from which on a cue alone says that an image is not to be trusted


class Word(str, Enum):
    """What is said of a network image; the linear one needs no verdict."""

    TRUSTED = "trusted"
    DOUBTFUL = "doubtful"
    NOT = "not to be trusted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cue:
    """One figure of trust with its limit, None where the scan protocol does not ask for it."""

    code: str
    score: float
    limit: QualityLimit | None
    told: str  # what it says, in a sentence


@dataclass(frozen=True, slots=True)
class Verdict:
    """A word and what it rests on."""

    word: Word
    excess: float  # of the worst cue: 1 is its limit; not a number where no cue was judged
    reasons: tuple[str, ...]  # sentences of the cues that the word comes from, the worst first


def excess(score: float, limit: QualityLimit) -> float:
    """Return how much of its limit a score takes up: above 1 the limit is broken."""
    part, whole = (score, limit.value) if limit.direction == "max" else (limit.value, score)
    if whole > 0:
        return part / whole
    return 0.0 if part <= whole else math.inf


def verdict_of(cues: Sequence[Cue]) -> Verdict:
    """Judge an image by its worst cue: doubtful beyond a limit, not to be trusted from FAR times a limit on.

    Cues without a limit do not count. Without a limit that holds today, or with a cue that should have been judged and
    could not be while no other breaks its limit, the word is unknown: what was not looked at is not trusted.
    """
    asked = [(cue, cue.limit) for cue in cues if cue.limit is not None]
    dumb = [cue for cue, limit in asked if math.isnan(cue.score) or limit.expired()]
    known = sorted(
        ((excess(cue.score, limit), cue) for cue, limit in asked if cue not in dumb), key=lambda pair: -pair[0]
    )
    worst = known[0][0] if known else math.nan
    if worst > 1:
        word = Word.NOT if worst >= FAR else Word.DOUBTFUL
        return Verdict(word, worst, tuple(cue.told for beyond, cue in known if beyond > 1))
    if dumb or not known:
        told = tuple(f"{cue.code} could not be judged" for cue in dumb)
        return Verdict(Word.UNKNOWN, worst, told or ("the scan protocol has no limit of trust",))
    return Verdict(Word.TRUSTED, worst, ())
