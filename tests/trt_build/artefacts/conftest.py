"""One folder of heads for all tests here."""

import pytest

from tests.trt_build.artefacts.heads import write_heads
from trt_build.data.volumes import open_source


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return write_heads(tmp_path_factory.mktemp("heads"))


@pytest.fixture(scope="session")
def source(folder):
    return open_source(folder, "train")
