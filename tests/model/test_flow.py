"""The flow's definition, its ends, and an integral that is known."""

import pytest
import torch

from lipsync.errors import ConfigError
from lipsync.model.flow import T_GAP, interpolate, sample_t, v_loss, velocity
from lipsync.model.sampler import SamplerConfig, flow_times, sample
from tests.model_helpers import TINY, random_batch, tiny_pixel


def test_path_starts_at_noise_and_ends_at_data():
    x, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(interpolate(x, noise, torch.zeros(2)), noise)
    torch.testing.assert_close(interpolate(x, noise, torch.ones(2)), x)


def test_velocity_of_the_truth_is_data_minus_noise():
    x, noise, t = torch.randn(3, 5), torch.randn(3, 5), torch.tensor([0.0, 0.4, 0.9])
    torch.testing.assert_close(velocity(x, interpolate(x, noise, t), t), x - noise)


def test_v_loss_equals_its_definition_and_ignores_what_is_outside():
    x, noise, x_hat, t = torch.randn(2, 6), torch.randn(2, 6), torch.randn(2, 6), torch.tensor([0.2, 0.7])
    x_t, weight = interpolate(x, noise, t), torch.tensor([[1.0, 1, 1, 0, 0, 0]])
    v_hat = velocity(x_hat, x_t, t)
    expected = ((v_hat - (x - noise))[:, :3] ** 2).mean()
    torch.testing.assert_close(v_loss(x_hat, x, t, weight), expected, rtol=1e-4, atol=1e-4)


def test_v_loss_is_finite_at_the_end():
    loss = v_loss(torch.ones(1, 2), torch.zeros(1, 2), torch.ones(1), torch.ones(1, 2))
    assert float(loss) == pytest.approx(1 / T_GAP**2, rel=1e-3)


def test_sample_t_has_the_share_of_zeros_that_was_asked_for():
    t = sample_t(20_000, torch.Generator().manual_seed(0), zero_share=0.25)
    assert abs(float((t == 0).float().mean()) - 0.25) < 0.01
    assert float(t.max()) < 1


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_flow_times_rise_from_0_to_1(steps):
    times = flow_times(steps, 0.5)
    assert times[0] == 0 and times[-1] == 1 and times == sorted(times) and len(set(times)) == steps + 1


def test_no_steps_is_an_error():
    with pytest.raises(ConfigError, match="1 or more"):
        flow_times(0, 0.5)


class _Knows(torch.nn.Module):
    """Predicts the posterior mean of a Gaussian N(m, s²) per pixel: E[x | x_t], for which the flow is exact."""

    def __init__(self, mean: float, spread: float) -> None:
        super().__init__()
        self.mean, self.spread, self.config = mean, spread, TINY

    def encode_known(self, batch):
        return None

    def forward(self, x_t, t, batch, known=None):
        t = t.view(-1, 1, 1, 1, 1)
        gain = t * self.spread**2 / (t**2 * self.spread**2 + (1 - t) ** 2)
        return self.mean + gain * (x_t - t * self.mean)


def test_many_euler_steps_turn_noise_into_the_known_gaussian():
    batch = random_batch(batch=4, frames=4)
    windows = torch.zeros(4, 4, 3, TINY.size_px, TINY.size_px)
    made = sample(
        _Knows(0.1, 0.2), batch, windows, SamplerConfig(steps=200, bend=0.0), torch.Generator().manual_seed(1)
    )
    inside = made[batch.mask.expand_as(made) > 0]
    assert float(inside.mean()) == pytest.approx(0.1, abs=0.003)
    assert float(inside.std()) == pytest.approx(0.2, abs=0.01)


def test_one_seed_one_result_and_another_seed_another():
    model, batch = tiny_pixel(), random_batch()
    windows = torch.rand(1, 3, 3, TINY.size_px, TINY.size_px) * 2 - 1

    def run(seed: int) -> torch.Tensor:
        return sample(model, batch, windows, SamplerConfig(steps=2), torch.Generator().manual_seed(seed))

    torch.testing.assert_close(run(3), run(3), rtol=0, atol=0)
    assert not torch.equal(run(3), run(4))


def test_pixels_outside_the_mask_are_the_given_ones():
    model, batch = tiny_pixel(), random_batch()
    windows = torch.rand(1, 3, 3, TINY.size_px, TINY.size_px) * 2 - 1
    made = sample(model, batch, windows, SamplerConfig(steps=1), torch.Generator())
    outside = (batch.mask == 0).expand_as(made)
    torch.testing.assert_close(made[outside], windows[outside])
    assert not torch.allclose(made[~outside], windows[~outside])


def test_guidance_1_is_none_and_others_differ():
    model, batch = tiny_pixel(), random_batch()
    windows = torch.zeros(1, 3, 3, TINY.size_px, TINY.size_px)

    def run(guidance: float) -> torch.Tensor:
        return sample(
            model, batch, windows, SamplerConfig(steps=1, guidance=guidance), torch.Generator().manual_seed(0)
        )

    batch_deaf = random_batch()
    object.__setattr__(batch_deaf, "has_sound", torch.zeros(1))
    deaf = sample(model, batch_deaf, windows, SamplerConfig(steps=1), torch.Generator().manual_seed(0))
    torch.testing.assert_close(run(0.0), deaf, atol=2e-2, rtol=0)
    assert not torch.equal(run(1.0), run(3.0))
