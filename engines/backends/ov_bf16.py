"""Convolutions in bfloat16 and everything else in single precision, by OpenVINO.

Its own hint for bfloat16 takes the consistent steps along, which costs 0.5 dB; networks are trained with convolutions
in bfloat16 as it is.
"""

from typing import Any, Final

__all__ = ["lower_convolutions"]

FOLLOW: Final = ("Add", "Relu", "DepthToSpace")  # computed in bfloat16 where all that they take is


def lower_convolutions(model: Any) -> None:
    """Change a model (openvino.Model) in place; what it takes and gives stays in single precision."""
    from openvino import opset13 as operations

    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "Convolution":
            how = node.get_attributes()
            sizes = (how[key] for key in ("strides", "pads_begin", "pads_end", "dilations"))
            made = operations.convolution(*(_low(node.input_value(n)) for n in range(2)), *sizes)
        elif kind in FOLLOW and all(_is_low(port) or _constant(port.get_node()) for port in node.input_values()):
            made = _again(node, [_low(port) for port in node.input_values()])
        else:
            continue
        single = operations.convert(made, "f32")
        for port in node.output(0).get_target_inputs():
            port.replace_source_output(single.output(0))
    model.validate_nodes_and_infer_types()


def _again(node: Any, inputs: list[Any]) -> Any:
    """The same operation of other inputs."""
    from openvino import opset13 as operations

    if node.get_type_name() == "DepthToSpace":
        how = node.get_attributes()
        return operations.depth_to_space(*inputs, how["mode"], how["block_size"])
    return operations.add(*inputs) if len(inputs) == 2 else operations.relu(*inputs)


def _low(port: Any) -> Any:
    """An output in bfloat16, without converting there and back."""
    from openvino import opset13 as operations

    return port.get_node().input_value(0) if _is_low(port) else operations.convert(port, "bf16").output(0)


def _is_low(port: Any) -> bool:
    """Whether an output was bfloat16 a moment ago."""
    node = port.get_node()
    return bool(node.get_type_name() == "Convert" and node.input_value(0).get_element_type().to_string() == "bf16")


def _constant(node: Any) -> bool:
    """Whether it is a constant, or one in another shape, as biases are."""
    kind = node.get_type_name()
    return kind == "Constant" or (kind == "Reshape" and _constant(node.input_value(0).get_node()))
