"""Actors without end: one more person for every seed, drawn so that features go together."""

import numpy as np

from data_prep.actors.actor import BEARDS, GARMENTS, Actor, Colour, Light
from data_prep.actors.geometry import HeadShape
from data_prep.actors.visemes import Style

_SKINS: tuple[Colour, ...] = (
    (230, 188, 166),
    (222, 176, 150),
    (206, 156, 126),
    (184, 134, 102),
    (156, 106, 78),
    (124, 82, 58),
    (98, 64, 46),
)
_HAIRS: tuple[Colour, ...] = (
    (22, 18, 18),
    (38, 28, 24),
    (70, 46, 32),
    (112, 76, 46),
    (160, 120, 74),
    (128, 70, 42),
    (150, 148, 146),
)
_EYES: tuple[Colour, ...] = ((48, 32, 22), (70, 48, 30), (96, 74, 46), (88, 104, 80), (96, 120, 140))
_CLOTHS: tuple[Colour, ...] = (
    (52, 58, 70),
    (190, 186, 178),
    (148, 60, 56),
    (62, 96, 84),
    (70, 96, 140),
    (188, 150, 80),
    (112, 84, 110),
    (100, 96, 90),
    (206, 206, 210),
    (60, 66, 52),
)
_VOICES = (
    ("espeak:en", "en"),
    ("espeak:en-gb", "en"),
    ("espeak:es", "es"),
    ("espeak:hi", "hi"),
    ("espeak:de", "de"),
    ("espeak:fr", "fr"),
    ("espeak:ar", "ar"),
    ("espeak:pt", "pt"),
)


def _jitter(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    tint = 1 + 0.25 * spread * rng.standard_normal(3)
    moved = np.clip(np.array(colour) * (1 + spread * rng.standard_normal()) * tint, 8, 246)
    return (int(moved[0]), int(moved[1]), int(moved[2]))


def _about(rng: np.random.Generator, centre: float, spread: float) -> float:
    return float(centre + spread * np.clip(rng.standard_normal(), -2, 2))


def _random_shape(rng: np.random.Generator, masculine: bool, tone: int, age: float) -> HeadShape:
    def about(centre: float, spread: float) -> float:
        return _about(rng, centre, spread)

    return HeadShape(
        width=about(1.0, 0.025),
        jaw_width=about(1.03 if masculine else 0.93, 0.035),
        length=about(0.99, 0.022),
        neck_width=about(1.0 if masculine else 0.87, 0.03),
        chin=about(1.0, 0.1),
        nose_length=about(1.0, 0.03),
        nose_width=about(0.95 + 0.04 * tone, 0.09),
        nose_height=about(1.0, 0.11),
        brow_ridge=about(1.1 if masculine else 0.4, 0.2),
        cheeks=about(1.0, 0.15),
        eye_distance_cm=about(3.15, 0.08),
        eye_tilt=about(0.07, 0.035),
        eye_open_cm=about(0.60, 0.05),
        mouth_half_width_cm=about(2.55, 0.12),
        upper_lip_cm=max(0.42, about(0.66 + 0.04 * tone - 0.15 * age, 0.1)),
        lower_lip_cm=max(0.62, about(0.90 + 0.04 * tone - 0.12 * age, 0.1)),
        cupid=about(1.0, 0.3),
        folds=float(0.1 + 1.0 * age),
    )


def random_actor(seed: int, language: str | None = None) -> Actor:
    """One more person; the same seed gives the same one. `language` fixes the voice's language (espeak's code)."""
    rng = np.random.default_rng([seed, 20261122])
    masculine = bool(rng.random() < 0.5)
    tone = int(rng.integers(len(_SKINS)))
    skin = _jitter(rng, _SKINS[tone], 0.03)
    age = float(np.clip(rng.beta(1.5, 2.5), 0, 1))

    def about(centre: float, spread: float) -> float:
        return _about(rng, centre, spread)

    shape = _random_shape(rng, masculine, tone, age)
    hair_colour = _HAIRS[6] if age > 0.75 else _HAIRS[int(rng.integers(3 if tone > 2 else 6))]
    styles = ("bald", "buzz", "short", "side", "curly") if masculine else ("long", "bob", "tied", "curly", "scarf")
    hair = styles[int(rng.integers(len(styles)))]
    beard = BEARDS[int(rng.integers(len(BEARDS)))] if masculine else "none"
    red = 0.80 + 0.05 * rng.random()
    lips = _jitter(rng, (int(skin[0] * red), int(skin[1] * 0.60), int(skin[2] * 0.70)), 0.03)
    voice, spoken = _VOICES[int(rng.integers(len(_VOICES)))]
    if language is not None:
        voice, spoken = f"espeak:{language}", language
    voice += f"+{'m' if masculine else 'f'}{rng.integers(1, 5)}"
    wall = rng.integers(70, 215, 3) * 0.3 + rng.integers(80, 210) * 0.7
    return Actor(
        name=f"random-{seed}",
        seed=seed,
        voice=voice,
        language=spoken,
        shape=shape,
        style=Style(about(1.0, 0.1), about(1.0, 0.08), 0.0, about(1.0, 0.08), about(0.0, 0.03)),
        light=Light(
            float(rng.choice([-1, 1]) * rng.uniform(15, 50)),
            float(rng.uniform(15, 42)),
            (1.0, float(rng.uniform(0.90, 0.98)), float(rng.uniform(0.80, 0.96))),
            (0.56, 0.61, 0.69),
            float(rng.uniform(0.92, 1.12)),
            float(rng.uniform(0.28, 0.5)),
        ),
        skin=skin,
        lips=lips,
        eyes=_jitter(rng, _EYES[int(rng.integers(2 if tone > 2 else 5))], 0.08),
        hair=hair,
        hair_colour=_jitter(rng, hair_colour, 0.08)
        if hair != "scarf"
        else _jitter(rng, _CLOTHS[int(rng.integers(len(_CLOTHS)))], 0.15),
        hairline_cm=about(6.3 if hair != "scarf" else 5.6, 0.2),
        brow_thickness=about(1.15 if masculine else 0.85, 0.12),
        beard=beard,
        beard_colour=_jitter(rng, hair_colour, 0.05),
        freckles=float(max(0.0, about(-0.1, 0.35))) * (tone < 3),
        age=age,
        lashes=0.5 if masculine else float(rng.uniform(0.7, 1.0)),
        garment=GARMENTS[int(rng.integers(len(GARMENTS)))],
        garment_colour=_jitter(rng, _CLOTHS[int(rng.integers(len(_CLOTHS)))], 0.15),
        backdrop=(
            _jitter(rng, (int(wall[0]), int(wall[1]), int(wall[2])), 0.05),
            _jitter(rng, (int(wall[0] * 0.6), int(wall[1] * 0.6), int(wall[2] * 0.62)), 0.05),
        ),
    )
