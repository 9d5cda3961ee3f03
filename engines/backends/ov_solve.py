"""The consistent step of an unrolled network as one operation of our own in OpenVINO's graphs.

OpenVINO has no product with a Hermitian matrix: it would read both halves of the inverse, and rows that are zero, and
move planes there and back. Ours reads a third of it (engines/linear/packed.py).
"""

from concurrent.futures import Executor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.backends.ov_layout import hand_on
from engines.halves import both
from engines.linear.packed import Packed, multiply

__all__ = ["BITS", "REACH", "own_solves"]

BITS: Final = "{}, lower half in bfloat16"  # names of the inputs that take the place of an inverse
REACH: Final = "{}, rows that are not zero"
PARTS: Final = 12  # of a step: those in the middle of a head take longest
BEFORE: Final = ("Reshape", "Transpose", "Reshape")  # from planes to the MatMul, and from there to planes again
AFTER: Final = ("Reshape", "Gather", "Gather", "Subtract", "Unsqueeze", "Concat", "Transpose", "Reshape")


def own_solves(model: Any, name: str, workers: Executor) -> bool:
    """Let all consistent steps with the input `name` (openvino.Model, in place) be ours; False where there are none."""
    from openvino import Type
    from openvino import opset13 as operations

    given = next((node for node in model.get_parameters() if name in node.output(0).get_names()), None)
    if given is None:
        return False
    turned = [port.get_node() for port in given.output(0).get_target_inputs()]
    products = [node for node in model.get_ordered_ops() if _multiplies(node, turned)]
    steps = [step for step in map(_around, products) if step]
    if not steps or len(steps) < len(products):
        return False
    ports = [
        operations.parameter([-1, -1], kind, name=port.format(name))
        for port, kind in ((BITS, Type.i32), (REACH, Type.i32))
    ]
    for port in ports:
        port.output(0).set_names({port.get_friendly_name()})
    model.add_parameters(ports)
    solve = _operation()
    for planes, last in steps:
        hand_on(last, solve(workers, [planes, *(port.output(0) for port in ports)]))
    model.validate_nodes_and_infer_types()
    return True


def _multiplies(node: Any, turned: list[Any]) -> bool:
    """Whether a node is a product with one of the transposes of an input."""
    return node.get_type_name() == "MatMul" and node.input_value(1).get_node() in turned


def _around(product: Any) -> tuple[Any, Any] | None:
    """Planes that come into a step and the node that gives planes again, if it is made as we make it."""
    port, last = product.input_value(0), _follow(product, AFTER)
    for kind in BEFORE:
        if port.get_node().get_type_name() != kind:
            return None
        port = port.get_node().input_value(0)
    return None if last is None else (port, last)


def _follow(node: Any, kinds: tuple[str, ...]) -> Any:
    """Where a path through nodes of these kinds ends; None where there is none."""
    if not kinds:
        return node
    takers = (port.get_node() for port in node.output(0).get_target_inputs())
    ends = (_follow(taker, kinds[1:]) for taker in takers if taker.get_type_name() == kinds[0])
    return next((end for end in ends if end is not None), None)


def _operation() -> Any:
    """The class of the operation, which is one of OpenVINO's classes."""
    import openvino

    class Solve(openvino.Op):  # type: ignore[misc]
        """P of planes (frame, 2, y, x), of what packed.py packs."""

        def __init__(self, workers: Executor, inputs: Any) -> None:
            super().__init__(self, inputs)
            self.workers = workers

        def validate_and_infer_types(self) -> None:
            self.set_output_type(0, self.get_input_element_type(0), self.get_input_partial_shape(0))

        def clone_with_new_inputs(self, inputs: Any) -> Any:
            return Solve(self.workers, inputs)

        def has_evaluate(self) -> bool:
            return True

        def visit_attributes(self, _visitor: Any) -> bool:
            return True

        def evaluate(self, outputs: Any, inputs: Any) -> bool:
            outputs[0].shape = inputs[0].shape
            planes, bits, reach, out = (tensor.data for tensor in (*inputs, outputs[0]))
            _solve(Packed(bits.view(np.uint16), reach), planes, out, self.workers)
            return True

    return Solve


def _solve(packed: Packed, planes: NDArray[np.float32], out: NDArray[np.float32], workers: Executor) -> None:
    """Let the caller and a worker take one part after the other: either may be kept from it by other work."""
    ends = [len(packed.reach) * n // PARTS for n in range(PARTS + 1)]
    left = map(slice, ends[:-1], ends[1:])

    def work() -> None:
        for part in left:
            multiply(packed, planes, out, part)

    both(work, work, workers)
