"""Convolutions in bfloat16, everything else single, by OpenVINO, whose own hint takes sums along that want more.

Networks are trained with convolutions in bfloat16 as it is.
"""

from typing import Any, Final

from engines.backends.ov_layout import hand_on

__all__ = ["lower_convolutions"]

FOLLOW: Final = ("Add", "Relu", "DepthToSpace")  # computed in bfloat16 where the images that they take are


def lower_convolutions(model: Any) -> None:
    """Change a model (openvino.Model) in place; what it takes and gives stays in single precision."""
    from openvino import opset13 as operations

    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "Convolution":
            how = node.get_attributes()
            sizes = (how[key] for key in ("strides", "pads_begin", "pads_end", "dilations"))
            made = operations.convolution(*(_low(node.input_value(n)) for n in range(2)), *sizes)
        elif kind in FOLLOW and _follows(node.input_values()):
            made = _again(node, [_low(port) for port in node.input_values()])
        else:
            continue
        single = operations.convert(made, "f32")
        hand_on(node, single)
    model.validate_nodes_and_infer_types()


def _follows(ports: list[Any]) -> bool:
    """Whether an image is bfloat16 and the rest is so too, or a number for each of its channels."""
    low = [_is_low(port) for port in ports]
    return any(low) and all(is_low or _a_channel_each(port) for is_low, port in zip(low, ports, strict=True))


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


def _a_channel_each(port: Any) -> bool:
    """Whether it is (…, channel, 1, 1): a bias, or what a cascade is told of the scan."""
    shape = port.get_partial_shape()
    return shape.rank.is_static and len(shape) >= 3 and all(shape[n].is_static and shape[n] == 1 for n in (-1, -2))
