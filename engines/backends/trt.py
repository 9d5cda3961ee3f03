"""TensorRT 10.13 and 11 on a GPU."""

from typing import Final

from engines.backends.trt_adapter import Adapter

__all__ = ["ADAPTER", "missing", "open_graph"]

ADAPTER: Final = Adapter("tensorrt", ("tensorrt",), builds_anywhere=False, how="pip install 'scanside[gpu]'")
missing = ADAPTER.missing
open_graph = ADAPTER.open_graph
