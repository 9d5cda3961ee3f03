"""TensorRT-RTX on a GPU; it builds plans without one too."""

from typing import Final

from engines.backends.trt_adapter import Adapter

__all__ = ["ADAPTER", "missing", "open_graph"]

ADAPTER: Final = Adapter(
    "tensorrt_rtx", ("tensorrt_rtx", "tensorrt_rtx_bindings"), builds_anywhere=True, how="pip install 'scanside[rtx]'"
)
missing = ADAPTER.missing
open_graph = ADAPTER.open_graph
