"""artefacts: a network's opinion on every image, in a thread of its own; the image never waits for it."""

from collections.abc import Iterable, Iterator

from gadgets.artefact_verdict import CODE, Examiner
from gadgets.context import Context
from protocols.messages import Image, Message
from protocols.stream import Node, beside

__all__ = ["artefacts"]


def artefacts(context: Context, depth: int = 32) -> Node:
    """Let the network that [engines] names look for artefacts in every image, and in the linear one behind a network's.

    Images leave at once; probabilities and severities (topic `quality`) follow, and a flag for each artefact whose
    probability breaks its [limits.artefact_<name>]. A network that fails, or does not answer within [deadlines]
    artefacts (ms, 1000 if it is not there), is not asked again in this scan, and one flag says so: UNKNOWN.
    """
    engines = context.protocol.engines
    examiner = Examiner(context, context.lender.borrow(engines.models[CODE], engines.backends, stands_back=True))

    def examine(message: Message) -> Iterator[Message]:
        if isinstance(message, Image):
            context.lender.rush.sit_out()
            yield from examiner.examine(message)

    def missed(message: Message) -> Iterable[Message]:
        return examiner.missed(message) if isinstance(message, Image) else ()

    return beside(examine, depth, missed, context.tell, name="artefacts")
