import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not here: pip install 'scanside[build]'")

from tests.engines.coils import head, hybrid_space, noise_like, unit_maps  # noqa: E402
from trt_build.report.cases import Slice, undersample  # noqa: E402
from trt_build.report.errors import ReportError  # noqa: E402
from trt_build.report.learned import trained  # noqa: E402
from trt_build.training import checkpoint  # noqa: E402
from trt_build.training.networks import network_of  # noqa: E402
from trt_build.training.recipe import Recipe  # noqa: E402

LINES, WIDTH, COILS = 64, 48, 6
RECIPES = {
    "network": Recipe(network="unrolled", steps=1, shape={"width": 4, "hidden": 2, "cascades": 2}),
    "unet": Recipe(network="unet", steps=1, shape={"width": 4}),
    "varnet": Recipe(network="varnet", steps=1, shape={"width": 2, "levels": 1, "maps_width": 2, "maps_levels": 1}),
}


@pytest.fixture(scope="module")
def case():
    image = np.abs(head(LINES, WIDTH))
    clean = hybrid_space(unit_maps(COILS, LINES, WIDTH) * image * 30)
    region = image > 0
    full = Slice(
        "mni", "ellipses", clean + noise_like(clean.shape), clean, (30 * image).astype(np.float32), region, region
    )
    return undersample(full, 3, "random")


@pytest.fixture
def saved(tmp_path):
    """Write the checkpoint of an untrained network and give its path."""

    def write(key):
        network = network_of(RECIPES[key])
        path = tmp_path / f"{key}.pt"
        checkpoint.save(path, RECIPES[key], "supervised", {"average": network.state_dict()})
        return path

    return write


@pytest.mark.parametrize("key", RECIPES)
def test_a_checkpoint_draws_a_whole_image_of_a_case(key, case, saved):
    if key == "varnet":
        pytest.importorskip("fastmri", reason="fastmri is not here: pip install --no-deps fastmri")
    drawn = trained(key, saved(key)).draw(case)
    assert drawn.image.shape == (LINES, WIDTH)
    assert np.isfinite(drawn.image).all()
    assert (drawn.error is not None) == (key == "network")
    assert drawn.ms > 0


def test_a_checkpoint_of_another_network_and_what_is_none_are_refused(saved, tmp_path):
    with pytest.raises(ReportError, match="got a checkpoint of the network 'unet', wanted 'varnet'"):
        trained("varnet", saved("unet"))
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(ReportError, match="not a checkpoint of scanside-build train"):
        trained("unet", tmp_path / "text.pt")
