import numpy as np
import pytest

from hw_sim.coils import Array, head_array
from hw_sim.phantom import ASYMMETRIC
from hw_sim.planes import STANDARD, Plane, planes, points
from hw_sim.signal import FINE, centred_fft, image_phase, slice_image, slice_kspace
from hw_sim.tissue import TISSUES, contrast, spin_echo, spoiled_gradient_echo


def inverse(kspace):
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes), norm="ortho"), axes)


class Uniform(Array):
    """One coil that is everywhere alike, so that k-space has a closed form."""

    def on_plane(self, plane, u_mm, v_mm):
        return np.ones((1, len(v_mm), len(u_mm)), np.complex64)


@pytest.mark.parametrize("name", STANDARD)
def test_closed_form_of_kspace_agrees_with_the_fft_of_the_image(name, simulate):
    scan = simulate(matrix=(64, 64), orientation=name, thickness_mm=0.1, oversampling=1)
    plane, weight = planes(scan)[0], contrast(scan, 1)
    d_mm = 230.0 / 64
    fine = 8
    axis = (np.arange(64 * fine) - 32 * fine) * d_mm / fine
    image = ASYMMETRIC.image(points(plane, axis, axis), weight)
    by_fft = (
        centred_fft(image.astype(np.complex64))[32 * 7 : 32 * 9, 32 * 7 : 32 * 9] * (64 * fine) * (d_mm / fine) ** 2
    )
    k = (np.arange(64) - 32) / 230.0
    closed = ASYMMETRIC.kspace(plane, k[None, :], k[:, None], weight)
    assert np.linalg.norm(by_fft - closed) < 0.02 * np.linalg.norm(closed)


def test_the_simulated_kspace_of_a_uniform_coil_is_the_closed_form_without_the_phase(simulate, monkeypatch):
    scan = simulate(matrix=(64, 64), thickness_mm=0.1)
    plane, weight = planes(scan)[0], contrast(scan, 1)
    monkeypatch.setattr("hw_sim.signal.image_phase", lambda p, te_ms: np.ones(p.shape[:-1], np.complex64))
    coil = Uniform(np.zeros((1, 2, 3)), np.ones(1, complex), np.eye(1, dtype=complex))
    made = slice_kspace(slice_image(ASYMMETRIC, plane, scan, weight), plane, coil, scan)[0]
    k_read, k_phase = (np.arange(128) - 64) / 460.0, (np.arange(64) - 32) / 230.0
    closed = ASYMMETRIC.kspace(plane, k_read[None, :], k_phase[:, None], weight) * np.sqrt(128 * 64) / (460 * 230)
    assert np.linalg.norm(made - closed) < 0.06 * np.linalg.norm(closed)


def test_a_plain_inverse_fft_gives_the_slice_upright_with_the_marks_where_geometry_says(prepared):
    played = prepared(matrix=(64, 64), slices=1)
    imaging = played.plan["kind"] == 2
    samples = np.concatenate([batch.samples for batch in played.readouts()])[imaging]
    image = np.sqrt((np.abs(inverse(samples.transpose(1, 0, 2))) ** 2).sum(0))[:, 32:96]
    head = played.headers[imaging][0]

    def at(point_mm):
        away = np.array(point_mm) - head["position"]
        column, row = (round(32 + away @ head[d] / (230 / 64)) for d in ("read_dir", "phase_dir"))
        return image[row - 1 : row + 2, column - 1 : column + 2].mean()

    plate, mirrored_plate = at((38, 10, 0)), at((-38, 10, 0))  # bone on the left only
    assert plate < 0.4 * mirrored_plate
    rod, behind = at((0, -62, 0)), at((0, 62, 0))  # a darker rod in front only
    assert rod < 0.9 * behind
    assert image[:, :4].max() < 0.1 * image.max()


def test_reconstruction_of_the_noise_free_scan_is_signal_times_sensitivity(simulate):
    scan = simulate(matrix=(64, 64))
    coils, plane, weight = head_array(8), planes(scan)[0], contrast(scan, 1)
    viewed = slice_image(ASYMMETRIC, plane, scan, weight)
    seen = inverse(slice_kspace(viewed, plane, coils, scan))[:, :, 32:96]
    wanted = (viewed.signal * coils.on_plane(plane, viewed.u_mm, viewed.v_mm)).reshape(8, 64, FINE, 64, FINE)
    wanted = np.roll(wanted.reshape(8, 128, 128), (1, 1), (1, 2)).reshape(8, 64, 2, 64, 2).mean(axis=(2, 4))
    assert np.linalg.norm(np.abs(seen) - np.abs(wanted)) < 0.15 * np.linalg.norm(wanted)


def test_what_lies_outside_the_field_of_view_folds_in_along_phase_only(simulate):
    wide, narrow = simulate(matrix=(64, 64)), simulate(matrix=(64, 32), fov_mm=(230.0, 115.0))
    plane, weight = planes(wide)[0], contrast(wide, 1)
    coils = head_array(8)
    full, folded = (
        inverse(slice_kspace(slice_image(ASYMMETRIC, plane, scan, weight), plane, coils, scan))
        for scan in (wide, narrow)
    )
    wrapped = np.roll(full.reshape(8, 2, 32, 128).sum(axis=1), -16, axis=1)
    assert np.linalg.norm(folded - wrapped) < 0.05 * np.linalg.norm(wrapped)


def test_phase_is_smooth_and_of_unit_size(simulate):
    grid = points(STANDARD["axial"], np.linspace(-100, 100, 50), np.linspace(-100, 100, 50))
    phase = image_phase(grid, 5.0)
    assert np.allclose(np.abs(phase), 1)
    assert np.abs(np.angle(phase[1:] / phase[:-1])).max() < 0.3


def test_contrast_follows_the_equations():
    white, csf = TISSUES["white"], TISSUES["csf"]
    assert spoiled_gradient_echo(white, 1e6, 1e-6, 90) == pytest.approx(white.proton_density, rel=1e-6)
    assert spoiled_gradient_echo(white, 10, 3, 20) > spoiled_gradient_echo(csf, 10, 3, 20)  # T1-weighted
    assert spin_echo(csf, 4000, 100) > spin_echo(white, 4000, 100)  # T2-weighted


def test_fat_saturation_touches_fat_alone(simulate):
    plain, saturated = contrast(simulate(), 1), contrast(simulate(fat_saturation=True), 1)
    assert saturated(TISSUES["fat"]) == pytest.approx(0.1 * plain(TISSUES["fat"]))
    assert saturated(TISSUES["white"]) == plain(TISSUES["white"])


def test_planes_are_right_handed_and_centred(simulate):
    scan = simulate(
        orientation={"normal": (0.2, 0.3, 1.0), "rotation_deg": 25.0}, slices=5, gap_mm=2.0, centre_mm=(1, 2, 3)
    )
    stack = planes(scan)
    for plane in [*stack, *STANDARD.values()]:
        assert np.allclose(np.cross(plane.read_dir, plane.phase_dir), plane.slice_dir)
        assert np.isclose(np.linalg.norm(plane.read_dir), 1)
    centres = np.array([plane.centre_mm for plane in stack])
    assert np.allclose(centres.mean(axis=0), (1, 2, 3))
    assert np.allclose(np.linalg.norm(np.diff(centres, axis=0), axis=1), 7.0)


def test_a_scout_looks_along_all_three_axes(simulate):
    seen = {plane.slice_dir for plane in planes(simulate(three_plane=True, slices=2))}
    assert seen == {plane.slice_dir for plane in STANDARD.values()}
    assert isinstance(planes(simulate(three_plane=True))[0], Plane)


def test_an_accelerated_scan_unfolds_with_the_true_sensitivities(simulate):
    """Pruessmann 1999, written out pixel by pixel: what the simulator leaves out can be found again."""
    scan = simulate(matrix=(64, 64), acceleration=4, oversampling=1)
    coils, plane, weight = head_array(16), planes(scan)[0], contrast(scan, 1)
    full = slice_kspace(slice_image(ASYMMETRIC, plane, scan, weight), plane, coils, scan)
    kept = np.zeros_like(full)
    kept[:, 0::4] = full[:, 0::4]
    axis = (np.arange(64) - 32) * 230 / 64
    maps = coils.on_plane(plane, axis, axis).reshape(16, 4, 16, 64)  # (coil, fold, row, column)
    folded = 4 * inverse(kept).reshape(16, 4, 16, 64)[:, 0]
    encoding = maps.transpose(2, 3, 0, 1)
    unfolded = np.linalg.pinv(encoding, rcond=1e-2) @ folded.transpose(1, 2, 0)[..., None]
    found = unfolded[..., 0].transpose(2, 0, 1).reshape(64, 64)
    wanted = (inverse(full) * maps.reshape(16, 64, 64).conj()).sum(0) / (np.abs(maps) ** 2).sum(0).reshape(64, 64)
    inside = np.abs(wanted) > 0.1 * np.abs(wanted).max()
    assert np.linalg.norm((found - wanted)[inside]) < 0.08 * np.linalg.norm(wanted[inside])
