"""What training makes small is zero for the answer, and the bound ends where nine tenths are."""

import torch

from trt_build.training.loss import image_loss, pinball, similarity


def test_the_answer_has_no_loss():
    target = 20 * torch.randn(2, 2, 32, 24)
    inside = torch.ones(32, 24)
    assert image_loss(target, target, inside, 0.1) < 1e-3
    assert image_loss(target + 1, target, inside, 0.1) > image_loss(target + 0.5, target, inside, 0.1) > 0


def test_what_is_outside_does_not_count():
    target = 20 * torch.randn(1, 2, 32, 24)
    inside = torch.zeros(32, 24)
    inside[8:16] = 1
    spoilt = target.clone()
    spoilt[:, :, 20:] = 1e3
    assert image_loss(spoilt, target, inside, 0.1) < 1e-3


def test_an_image_is_similar_to_itself_alone():
    image = torch.rand(1, 1, 32, 32)
    peak = torch.ones(1, 1, 1, 1)
    torch.testing.assert_close(similarity(image, image, peak), torch.ones(1, 1, 16, 16), atol=1e-4, rtol=0)
    assert similarity(image, image.flip(2), peak).mean() < 0.5


def test_the_best_bound_holds_for_nine_tenths():
    errors = torch.rand(1, 2, 64, 64)
    sizes = errors.square().sum(1, keepdim=True).sqrt()
    inside = torch.ones(64, 64)
    tried = torch.linspace(0.1, 1.4, 200)
    losses = [pinball(bound.expand(1, 1, 64, 64), errors, torch.zeros_like(errors), inside) for bound in tried]
    best = tried[torch.stack(losses).argmin()]
    assert abs((sizes <= best).float().mean() - 0.9) < 0.02
