"""The pixel model: noisy windows, shape maps, references and sound → clean windows (x-prediction).

    x̂ = f(x_t, mask, map, references, previous frames, sound, t)

All frames, whatever their role, pass through the same small convolutional encoder (128 → 64 → 32 → 16 → 8): a
reference or previous frame is a frame with nothing masked. Their 8×8 patches meet in the spacetime transformer. The
decoder goes back up for the target frames only; at each scale it adds the target's own skip and a blend of the
references' features, weighted place by place (softmax of query·key). At the end the references' own pixels are moved to
where the target needs them and blended, and the network adds what they lack: so a person's skin and teeth arrive sharp.
Convolutions around the patches mean that their borders never show.

Inside the mask the encoder sees t·x_t: at t = 0, where sampling starts, there is nothing to see but noise, and no
capacity is spent on taking it away (without this, 1,300 steps left every window blurred: see tests/bench/LOG.md).

Sources: Ronneberger et al. 2015 (U-Net); Li & He 2025, arXiv 2511.13720 (x-prediction in pixel space); Siarohin et al.
2019 (moving a source's pixels).
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lipsync.model.shapemap import MAP_CHANNELS
from lipsync.model.transformer import SpacetimeTransformer
from lipsync.speech.features import MELS

TARGET, PREVIOUS, REFERENCE = 0, 1, 2


@dataclass(frozen=True)
class PixelModelConfig:
    """Dimensions of the pixel model; they travel in its checkpoint."""

    size_px: int = 128
    channels: tuple[int, int, int] = (32, 64, 128)  # at S/2, S/4, S/8
    width: int = 256  # at S/16: one token a patch of 16 px
    depth: int = 4
    heads: int = 4
    condition: int = 256
    mel_half_width: int = 10  # mel frames each side of a video frame: ±100 ms
    keys: int = 16  # channels of the reference blend's queries and keys
    warp_keys: int = 8  # the same where reference pixels are moved
    warp_reach_px: float = 16.0  # how far a reference pixel can be moved
    head_channels: int = 16
    chunk_frames: int = 8
    previous_frames: int = 1
    references: int = 2
    mask_top_px: int = 12
    mask_side_px: int = 6
    detail: float = 0.0  # how much of the detail's strength sampling gives back: measured at the end of training


@dataclass(frozen=True)
class Batch:
    """What the model is told besides the noisy windows. All tensors share B.

    mask (S, S); maps (B, F, 3, S, S); mels (B, F, 2·half+1, 80), NaN-free, zeroed where `has_sound` (B,) is 0;
    times_s (B, F) from the chunk's first target; known (B, K, 3, S, S) previous frames then references with their
    maps (B, K, 3, S, S), times_s (B, K) and roles (B, K); known_valid (B, K) 0 for padding.
    """

    mask: Tensor
    maps: Tensor
    mels: Tensor
    has_sound: Tensor
    times_s: Tensor
    known: Tensor
    known_maps: Tensor
    known_times_s: Tensor
    known_roles: Tensor
    known_valid: Tensor

    def with_known(self, frames: slice) -> "Batch":
        """The same with some of its known frames alone."""
        return replace(self, **{k: v[:, frames] for k, v in vars(self).items() if k.startswith("known")})


@dataclass(frozen=True)
class Known:
    """Known frames as the encoder sees them, whatever the targets and their flow time.

    features (B, K, C, h, w), finest first; patches (B, K, D, h′, w′); condition (B, K, E).
    """

    features: list[Tensor]
    patches: Tensor
    condition: Tensor

    @staticmethod
    def joined(parts: "list[Known]") -> "Known":
        """All frames of `parts`, in order."""
        features = [torch.cat(same, 1) for same in zip(*(part.features for part in parts), strict=True)]
        patches, condition = (
            torch.cat([getattr(part, name) for part in parts], 1) for name in ("patches", "condition")
        )
        return Known(features, patches, condition)


def embed_scalar(value: Tensor, size: int, longest: float) -> Tensor:
    """Sinusoidal features of a scalar (…): (…, size), periods from `longest` down to longest/1000."""
    rates = torch.exp(torch.linspace(0, math.log(1000.0), size // 2, device=value.device)) * (2 * math.pi / longest)
    angle = value[..., None].float() * rates
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class ResBlock(nn.Module):
    """Two 3×3 convolutions on a residual path; the frame's condition scales and shifts between them."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(condition, 2 * channels)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        nn.init.normal_(self.conv2.weight, std=1e-3)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """X (M, C, h, w), condition (M, E)."""
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        y = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(y) * (1 + scale) + shift))


class Encoder(nn.Module):
    """(M, 7, S, S) → features at S/2, S/4, S/8 and patches at S/16."""

    def __init__(self, config: PixelModelConfig) -> None:
        super().__init__()
        c0, c1, c2 = config.channels
        self.stem = nn.Conv2d(4 * (3 + 1 + MAP_CHANNELS), c0, 3, padding=1)
        self.blocks = nn.ModuleList(ResBlock(c, config.condition) for c in (c0, c1, c2))
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in ((c0, c1), (c1, c2), (c2, config.width))
        )

    def forward(self, x: Tensor, condition: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features, finest first, and patches."""
        x = self.stem(F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last))
        features = []
        for block, down in zip(self.blocks, self.down, strict=True):
            x = block(x, condition)
            features.append(x)
            x = down(x)
        return features, x


class ReferenceBlend(nn.Module):
    """Σ_r softmax_r(q·k_r) v_r at every place; a learned null competes, so nothing need be taken."""

    def __init__(self, channels: int, keys: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, keys, 1)
        self.key = nn.Conv2d(channels, keys, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.null = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, known: Tensor, valid: Tensor) -> Tensor:
        """X (B, F, C, h, w), known (B, K, C, h, w), valid (B, K) → (B, F, C, h, w)."""
        batch, frames = x.shape[:2]
        k, v = self.key(known.flatten(0, 1)), self.value(known.flatten(0, 1))
        k, v = k.unflatten(0, (batch, -1)), v.unflatten(0, (batch, -1))
        q = self.query(x.flatten(0, 1)).unflatten(0, (batch, frames)) / math.sqrt(k.shape[2])
        score = torch.stack([(q * k[:, None, r]).sum(2) for r in range(k.shape[1])], dim=2)
        score = score.masked_fill(valid[:, None, :, None, None] < 0.5, -1e4)
        null = self.null.to(score.dtype).expand(batch, frames, 1, *score.shape[-2:])
        weight = torch.cat([score, null], dim=2).softmax(2)
        return sum(weight[:, :, r : r + 1] * v[:, None, r] for r in range(k.shape[1]))  # type: ignore[return-value]


class ReferenceWarp(nn.Module):
    """The references' own pixels, each moved by a predicted field and blended by predicted trust; a null has the rest.

    W(p) = Σ_r w_r(p)·ref_r(p + reach·tanh f_r(p)),   (w_1 … w_R, w_null) = softmax(trust_1 … trust_R, null)
    """

    def __init__(self, channels: int, config: PixelModelConfig) -> None:
        super().__init__()
        keys, self.reach = config.warp_keys, 2 * config.warp_reach_px / config.size_px
        self.wants = nn.Conv2d(channels, keys, 1)
        self.has = nn.Conv2d(channels, keys, 1)
        self.compare = nn.Conv2d(2 * keys, 2 * keys, 3, padding=1)
        self.field = nn.Conv2d(2 * keys, 3, 3, padding=1)
        self.far_wants = nn.Conv2d(config.width, 4 * keys, 1)
        self.far_has = nn.Conv2d(config.width, 4 * keys, 1)
        self.far_field = nn.Conv2d(8 * keys, 3, 3, padding=1)
        self.null = nn.Parameter(torch.full((1,), -1.0))
        wide = config.size_px // 16
        to_size = F.interpolate(
            torch.eye(wide)[None, None], (config.size_px, wide), mode="bicubic", align_corners=False
        )
        self.register_buffer("to_size", to_size[0, 0], persistent=False)  # (S, S/16): bicubic, as a product
        for part in (self.field, self.far_field):
            nn.init.normal_(part.weight, std=1e-3)
            nn.init.zeros_(part.bias)  # pyright: ignore[reportArgumentType]

    def forward(
        self, x: Tensor, known: Tensor, tokens: Tensor, known_tokens: Tensor, pixels: Tensor, usable: Tensor
    ) -> Tensor:
        """Move and blend.

        Args:
            x, known: features at S/2 of the targets (B, F, C, h, w) and of the known frames (B, K, C, h, w).
            tokens, known_tokens: their patches after the transformer, (B, F, D, h′, w′) and (B, K, D, h′, w′): they
                have met, so they know how far the head has moved between the two.
            pixels: (B, K, 3, S, S). usable: (B, K), 1 for references.

        Returns:
            float32 (B, F, 3, S, S).
        """
        (batch, frames), count, size = x.shape[:2], known.shape[1], pixels.shape[-1]
        near = self.field(F.silu(self.compare(_pairs(self.wants, x, self.has, known)))).float()
        far = self.far_field(F.silu(_pairs(self.far_wants, tokens, self.far_has, known_tokens))).float()
        field = F.interpolate(near, size=(size, size), mode="bilinear", align_corners=False)
        with torch.autocast(x.device.type, enabled=False):
            enlarge = self.to_size.float()
            field = field + enlarge @ far @ enlarge.T
        line = (torch.arange(size, device=x.device) + 0.5) * 2 / size - 1
        place = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
        place = place + self.reach * field[:, :2].permute(0, 2, 3, 1).contiguous().tanh()
        source = pixels[:, None].expand(-1, frames, -1, -1, -1, -1).flatten(0, 2).float()
        moved = F.grid_sample(source, place, mode="bilinear", padding_mode="border", align_corners=False)
        moved = moved.unflatten(0, (batch, frames, count))
        trust = field[:, 2].unflatten(0, (batch, frames, count)).masked_fill(usable[:, None, :, None, None] < 0.5, -1e4)
        null = self.null.float().expand(batch, frames, 1, size, size)
        weight = torch.cat([trust, null], dim=2).softmax(2)[:, :, :count, None]
        return (weight * moved).sum(2)


def _pairs(wants: nn.Conv2d, x: Tensor, has: nn.Conv2d, known: Tensor) -> Tensor:
    """Every target's wants beside every known frame's haves: (B·F·K, 2·keys, h, w)."""
    (batch, frames), count = x.shape[:2], known.shape[1]
    a = wants(x.flatten(0, 1)).unflatten(0, (batch, frames))[:, :, None].expand(-1, -1, count, -1, -1, -1)
    b = has(known.flatten(0, 1)).unflatten(0, (batch, count))[:, None].expand(-1, frames, -1, -1, -1, -1)
    return torch.cat([a, b], dim=3).flatten(0, 2)


def _unusable_first(usable: Tensor) -> int:
    """How many of the first known frames no clip of the batch may use (B, K): nothing is computed for those.

    0 on a GPU, which would have to be waited for.
    """
    return int((usable.amax(0) > 0).float().argmax()) if usable.device.type == "cpu" else 0


class Decoder(nn.Module):
    """Patches at S/16 and the skips → windows at S."""

    def __init__(self, config: PixelModelConfig) -> None:
        super().__init__()
        c0, c1, c2 = config.channels
        self.up = nn.ModuleList(nn.Conv2d(a, 4 * b, 1) for a, b in ((config.width, c2), (c2, c1), (c1, c0)))
        self.own = nn.ModuleList(nn.Conv2d(c, c, 1) for c in (c2, c1, c0))
        self.blend = nn.ModuleList(ReferenceBlend(c, config.keys) for c in (c2, c1, c0))
        self.blocks = nn.ModuleList(ResBlock(c, config.condition) for c in (c2, c1, c0))
        self.warp = ReferenceWarp(c0, config)
        self.head = nn.Conv2d(c0, 4 * config.head_channels, 3, padding=1)
        self.join = nn.Conv2d(config.head_channels + 3, config.head_channels, 3, padding=1)
        self.out = nn.Conv2d(config.head_channels, 3, 3, padding=1)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(
        self, tokens: Tensor, skips: list[Tensor], known: list[Tensor], told: Batch, condition: Tensor
    ) -> Tensor:
        """Tokens (B, F + K, D, h, w); skips (B·F, C, h, w) and known (B, K, C, h, w), coarsest first."""
        valid = told.known_valid
        batch, frames = len(valid), told.maps.shape[1]
        tokens, known_tokens = tokens[:, :frames], tokens[:, frames:]
        x = tokens.flatten(0, 1)
        for up, own, blend, block, skip, refs in zip(
            self.up, self.own, self.blend, self.blocks, skips, known, strict=True
        ):
            x = F.pixel_shuffle(up(x), 2) + own(skip)
            x = x + blend(x.unflatten(0, (batch, -1)), refs, valid).flatten(0, 1)
            x = block(x, condition)
        usable = valid * (told.known_roles == REFERENCE)
        x_frames = x.unflatten(0, (batch, -1))
        some = slice(_unusable_first(usable), None)
        moved = self.warp(
            x_frames, known[-1][:, some], tokens, known_tokens[:, some], told.known[:, some], usable[:, some]
        ).flatten(0, 1)
        fine = F.pixel_shuffle(self.head(F.silu(x)), 2)
        side = [part.contiguous(memory_format=torch.channels_last) for part in (fine, moved.to(fine.dtype))]
        fine = self.join(torch.cat(side, dim=1))
        return self.out(F.silu(fine)).float() + moved


class PixelModel(nn.Module):
    """x̂ (B, F, 3, S, S) from x_t (B, F, 3, S, S), t (B,) and a Batch. Pixel values −1…1."""

    def __init__(self, config: PixelModelConfig) -> None:
        super().__init__()
        self.config = config
        places = (config.size_px // 16) ** 2
        self.encoder = Encoder(config)
        self.transformer = SpacetimeTransformer(config.width, config.depth, config.heads, places, config.condition)
        self.decoder = Decoder(config)
        sound = (2 * config.mel_half_width + 1) * MELS
        self.sound = nn.Sequential(
            nn.Linear(sound, config.condition), nn.SiLU(), nn.Linear(config.condition, config.condition)
        )
        self.no_sound = nn.Parameter(torch.zeros(config.condition))
        self.role = nn.Parameter(torch.randn(3, config.condition) * 0.02)
        self.clock = nn.Sequential(
            nn.Linear(2 * 64, config.condition), nn.SiLU(), nn.Linear(config.condition, config.condition)
        )

    def condition_known(self, batch: Batch) -> Tensor:
        """(B, K, E): flow time 1, the frame's place in time (references: none), its role."""
        place = torch.where(batch.known_roles == REFERENCE, torch.zeros_like(batch.known_times_s), batch.known_times_s)
        return self._clock(torch.ones_like(place), place) + self.role[batch.known_roles]

    def condition_target(self, t: Tensor, batch: Batch) -> Tensor:
        """(B, F, E): flow time, place in time, role and sound."""
        heard = self.sound(batch.mels.flatten(2))
        on = batch.has_sound[:, None, None]
        condition = self._clock(t[:, None].expand_as(batch.times_s), batch.times_s) + self.role[TARGET]
        return condition + on * heard + (1 - on) * self.no_sound

    def _clock(self, t: Tensor, time_s: Tensor) -> Tensor:
        return self.clock(
            torch.cat([embed_scalar(t, 64, 4.0), embed_scalar(time_s, 64, 8.0)], dim=-1).to(self.role.dtype)
        )

    def encode_known(self, batch: Batch) -> Known:
        """The batch's known frames."""
        condition = self.condition_known(batch)
        frames = torch.cat([batch.known, torch.zeros_like(batch.known[:, :, :1]), batch.known_maps], dim=2)
        features, patches = self.encoder(frames.flatten(0, 1), condition.flatten(0, 1))
        shape = batch.known.shape[:2]
        return Known([f.unflatten(0, shape) for f in features], patches.unflatten(0, shape), condition)

    def forward(self, x_t: Tensor, t: Tensor, batch: Batch, known: Known | None = None) -> Tensor:
        """See the class; `known`: the batch's known frames where they are encoded already."""
        size, frames = x_t.shape[:2]
        known = known or self.encode_known(batch)
        condition = self.condition_target(t, batch)
        mask = batch.mask.to(x_t.dtype).expand(size, frames, 1, -1, -1)
        seen = x_t * (1 - mask * (1 - t.view(-1, 1, 1, 1, 1)))
        shown = torch.cat([seen, mask, batch.maps], dim=2).flatten(0, 1)
        features, patches = self.encoder(shown, condition.flatten(0, 1))
        there = known.patches * batch.known_valid[:, :, None, None, None]
        tokens = torch.cat([patches.unflatten(0, (size, frames)), there], dim=1)
        tokens = self.transformer(tokens, torch.cat([condition, known.condition], dim=1))
        x = self.decoder(tokens, features[::-1], known.features[::-1], batch, condition.flatten(0, 1))
        return x.unflatten(0, (size, frames))
