"""What starting the plugin does not wait for."""

import json
import subprocess
import sys

import pytest

SLOW = ("torch", "matplotlib", "sigpy", "nilearn", "nibabel", "onnxruntime", "tensorrt", "rich.live")
REPORT = "import sys, json; json.dump(sorted(sys.modules), sys.stdout)"


def modules_after(statement):
    done = subprocess.run([sys.executable, "-c", f"{statement}; {REPORT}"], capture_output=True, check=True, text=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("statement", ["import gadgets", "import gadgets.serve", "import gadgets.external"])
def test_the_plugin_pulls_in_neither_networks_nor_plots(statement):
    assert modules_after(statement).isdisjoint(SLOW)


def test_help_waits_for_no_numerics():
    heavy = {"numpy", "scipy", "zmq", "pydantic", "h5py", "ismrmrd"}
    assert modules_after("import gadgets.cli, trt_build.cli").isdisjoint({*SLOW, *heavy})
