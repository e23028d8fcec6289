"""Small random models that tests share."""

import torch

from lipsync.model.base import Base
from lipsync.model.pixel import REFERENCE, Batch, PixelModel, PixelModelConfig
from lipsync.model.speech_to_shape import ShapeModel, ShapeModelConfig

TINY = PixelModelConfig(
    size_px=32,
    channels=(8, 16, 16),
    width=32,
    depth=1,
    heads=2,
    condition=32,
    keys=4,
    head_channels=8,
    mask_top_px=3,
    mask_side_px=2,
)


def tiny_pixel(seed: int = 0) -> PixelModel:
    torch.manual_seed(seed)
    return PixelModel(TINY).eval()


def tiny_shape(seed: int = 0) -> ShapeModel:
    torch.manual_seed(seed)
    model = ShapeModel(ShapeModelConfig(width=16, dilations=(1, 2), dropout=0.0))
    with torch.no_grad():
        rows = torch.linalg.qr(torch.randn(62, 8))[0].T
        model.space_basis.copy_(rows)
        model.space_std.fill_(0.05)
    return model.eval()


def tiny_base() -> Base:
    return Base("tiny", tiny_shape(), tiny_pixel(), "0" * 64)


def random_batch(
    batch: int = 1, frames: int = 3, known: int = 2, config: PixelModelConfig = TINY, seed: int = 0
) -> Batch:
    g = torch.Generator().manual_seed(seed)
    size = config.size_px

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=g)

    mask = torch.zeros(size, size)
    mask[config.mask_top_px :, config.mask_side_px : -config.mask_side_px] = 1
    return Batch(
        mask=mask,
        maps=rand(batch, frames, 3, size, size),
        mels=rand(batch, frames, 2 * config.mel_half_width + 1, 80),
        has_sound=torch.ones(batch),
        times_s=torch.arange(frames).float().repeat(batch, 1) / 25,
        known=rand(batch, known, 3, size, size) * 2 - 1,
        known_maps=rand(batch, known, 3, size, size),
        known_times_s=torch.zeros(batch, known),
        known_roles=torch.full((batch, known), REFERENCE),
        known_valid=torch.ones(batch, known),
    )
