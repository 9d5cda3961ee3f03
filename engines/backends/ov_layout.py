"""The same graph in operations that OpenVINO computes faster on a CPU, to within rounding.

It keeps images with the channels innermost from a convolution on, and computes element by element what has one or two
of them then: planes are handed on with the columns innermost. A mean over k x k pixels takes it k * k steps: it is
taken along rows and columns one after the other.
"""

from typing import Any, Final

import numpy as np

__all__ = ["flatten_planes", "hand_on", "separate_means"]

FEW: Final = 2  # channels, of real and imaginary part, or one
BETWEEN: Final = ("Add", "Relu", "Convert")  # from a convolution to its pixels, side by side


def flatten_planes(model: Any) -> int:
    """Shuffle the pixels of planes (openvino.Model, in place) by a transposition; how many were found."""
    found = [node for node in model.get_ordered_ops() if node.get_type_name() == "DepthToSpace"]
    changed = sum(_flattened(node) for node in found)
    model.validate_nodes_and_infer_types()
    return changed


def _flattened(node: Any) -> bool:
    from openvino import opset13 as operations

    channels, how = node.get_output_partial_shape(0)[1], node.get_attributes()
    seen = _seen_by(node)
    if seen is None or not channels.is_static or channels.get_length() > FEW or how["mode"] != "depth_first":
        return False
    planes, block = channels.get_length(), int(how["block_size"])
    size = operations.shape_of(seen)  # not that of the node's own input: it would keep the bias out of the convolution
    frames, rows, columns = (operations.gather(size, _ints(n), 0) for n in (0, 2, 3))
    split = operations.concat([frames, _ints(planes, block, block), rows, columns], 0)
    whole = [frames, _ints(planes), *(operations.multiply(length, _ints(block)) for length in (rows, columns))]
    parted = operations.reshape(node.input_value(0), split, special_zero=False)
    turned = operations.transpose(parted, _ints(0, 1, 4, 2, 5, 3))
    hand_on(node, operations.reshape(turned, operations.concat(whole, 0), special_zero=False))
    return True


def _seen_by(node: Any) -> Any:
    """What the convolution takes that a node's input comes from, if it keeps the size of an image; else None."""
    before = node.input_value(0).get_node()
    while before.get_type_name() in BETWEEN:
        before = before.input_value(0).get_node()
    if before.get_type_name() != "Convolution":
        return None
    how, kernel = before.get_attributes(), before.input_value(1).get_partial_shape()
    same = all(
        kernel[2 + n].is_static
        and how["strides"][n] == how["dilations"][n] == 1
        and how["pads_begin"][n] + how["pads_end"][n] == kernel[2 + n].get_length() - 1
        for n in range(2)
    )
    return before.input_value(0) if same and how["auto_pad"] == "explicit" else None


def separate_means(model: Any) -> int:
    """Take means over rectangles (openvino.Model, in place) along one direction, then the other; says how many."""
    from openvino import opset13 as operations

    found = [node for node in model.get_ordered_ops() if node.get_type_name() == "AvgPool" and _separable(node)]
    for node in found:
        how = node.get_attributes()
        made = node.input_value(0)
        for n in range(2):
            begin, end, kernel = [0, 0], [0, 0], [1, 1]
            begin[n], end[n], kernel[n] = (how[key][n] for key in ("pads_begin", "pads_end", "kernel"))
            made = operations.avg_pool(
                made, [1, 1], begin, end, kernel, exclude_pad=False, rounding_type=how["rounding_type"]
            )
        hand_on(node, made)
    model.validate_nodes_and_infer_types()
    return len(found)


def _separable(node: Any) -> bool:
    """Whether zeros beyond the edge count, so that the mean is the same along one direction after the other."""
    how = node.get_attributes()
    plain = list(how["strides"]) == [1, 1] and how["auto_pad"] == "explicit"
    return bool(plain and not how["exclude-pad"] and min(how["kernel"]) > 1)


def hand_on(node: Any, made: Any) -> None:
    """Give all that take the output of a node that of another one."""
    for port in node.output(0).get_target_inputs():
        port.replace_source_output(made.output(0))


def _ints(*values: int) -> Any:
    from openvino import opset13 as operations

    return operations.constant(np.array(values, np.int64))
