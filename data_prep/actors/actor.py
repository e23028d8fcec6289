"""Who the actors are: people by parameters, none of whom exists.

`cast()` names ten; `random_actor(seed)` makes as many more as wanted.
"""

from dataclasses import dataclass, field

import numpy as np

from data_prep.actors.geometry import HeadShape
from data_prep.actors.visemes import Style

Colour = tuple[int, int, int]   # sRGB
HAIR_STYLES = ("bald", "buzz", "short", "side", "curly", "long", "bob", "tied", "scarf")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
GARMENTS = ("crew", "vneck", "shirt")


@dataclass(frozen=True)
class Light:
    """Light on one actor: where the main lamp stands (degrees right of and above the camera), and colours."""

    azimuth_deg: float = -35.0
    elevation_deg: float = 32.0
    key: tuple[float, float, float] = (1.0, 0.96, 0.90)
    fill: tuple[float, float, float] = (0.55, 0.60, 0.68)
    strength: float = 1.0
    fill_share: float = 0.35


@dataclass(frozen=True)
class Actor:
    """One person: the look, the light they stand in, how they move, and the voice they speak with."""

    name: str
    seed: int
    voice: str = "espeak:en"
    language: str = "en"
    shape: HeadShape = field(default_factory=HeadShape)
    style: Style = field(default_factory=Style)
    light: Light = field(default_factory=Light)
    skin: Colour = (205, 155, 128)
    lips: Colour = (172, 98, 92)
    eyes: Colour = (94, 72, 50)
    hair: str = "short"
    hair_colour: Colour = (52, 38, 30)
    hairline_cm: float = 6.4        # height of the hairline above the eyes
    brow_thickness: float = 1.0
    beard: str = "none"
    beard_colour: Colour | None = None   # the hair's when None
    freckles: float = 0.0
    age: float = 0.3                # 0 young … 1 old: folds, blotches, eye bags
    lashes: float = 0.6
    garment: str = "crew"
    garment_colour: Colour = (70, 84, 104)
    backdrop: tuple[Colour, Colour] = ((176, 178, 176), (112, 116, 122))


def cast() -> tuple[Actor, ...]:
    """The ten named actors."""
    return (
        Actor("Mara", 11, "espeak:en-gb", "en",
              HeadShape(neck_width=0.86, jaw_width=0.90, width=0.97, nose_width=0.86, nose_length=0.95, nose_height=0.88,
                        mouth_half_width_cm=2.45, upper_lip_cm=0.78, lower_lip_cm=1.02, brow_ridge=0.3, eye_tilt=0.09,
                        eye_open_cm=0.66, folds=0.1, length=0.97, chin=0.9),
              Style(1.05, 1.0), Light(-38, 30), (226, 180, 156), (186, 98, 98), (86, 110, 118), "long", (74, 48, 32),
              6.2, 0.8, freckles=0.5, age=0.15, lashes=1.0, garment="vneck", garment_colour=(60, 92, 96),
              backdrop=((196, 192, 184), (140, 138, 136))),
        Actor("Tomas", 22, "espeak:es", "es",
              HeadShape(jaw_width=1.06, width=1.01, nose_width=1.05, nose_height=1.12, brow_ridge=1.3,
                        upper_lip_cm=0.58, lower_lip_cm=0.82, folds=0.6, chin=1.1),
              Style(0.95, 1.05, skew_cm=0.03), Light(34, 28, (1.0, 0.93, 0.84)), (206, 156, 124), (164, 100, 90),
              (78, 54, 34), "side", (34, 26, 22), 6.4, 1.25, "stubble", age=0.45, garment="shirt",
              garment_colour=(206, 210, 216), backdrop=((120, 128, 132), (62, 68, 76))),
        Actor("Asha", 33, "espeak:hi", "hi",
              HeadShape(neck_width=0.84, jaw_width=0.92, width=0.98, nose_width=0.98, mouth_half_width_cm=2.5, upper_lip_cm=0.80,
                        lower_lip_cm=1.05, brow_ridge=0.35, eye_open_cm=0.68, eye_tilt=0.08, folds=0.15, length=0.97),
              Style(1.0, 0.95), Light(-30, 38), (168, 118, 86), (146, 78, 76), (52, 34, 24), "tied", (24, 18, 17), 6.0,
              1.1, age=0.2, lashes=1.0, garment="crew", garment_colour=(158, 62, 58),
              backdrop=((170, 150, 128), (104, 88, 78))),
        Actor("Kwame", 44, "espeak:en", "en",
              HeadShape(neck_width=1.02, jaw_width=1.04, width=1.0, nose_width=1.32, nose_height=0.88, mouth_half_width_cm=2.75,
                        upper_lip_cm=1.0, lower_lip_cm=1.22, brow_ridge=1.0, folds=0.35),
              Style(1.0, 1.0), Light(-42, 26, (1.0, 0.95, 0.88), (0.6, 0.66, 0.76), 1.12), (108, 70, 50), (116, 66, 62),
              (44, 28, 20), "buzz", (20, 17, 16), 6.3, 1.1, "goatee", age=0.3, garment="crew",
              garment_colour=(196, 160, 70), backdrop=((130, 140, 150), (70, 78, 90))),
        Actor("Lin", 55, "espeak:en-us", "en",
              HeadShape(neck_width=0.86, jaw_width=0.97, width=1.03, nose_width=1.04, nose_height=0.74, mouth_half_width_cm=2.4,
                        upper_lip_cm=0.70, lower_lip_cm=0.92, brow_ridge=0.2, eye_open_cm=0.50, eye_tilt=0.13,
                        cheeks=1.2, folds=0.1, chin=0.9, length=0.98),
              Style(0.92, 0.95), Light(28, 36), (226, 186, 152), (186, 106, 100), (46, 32, 24), "bob", (22, 18, 19), 5.9,
              0.85, age=0.15, lashes=0.8, garment="shirt", garment_colour=(120, 130, 158),
              backdrop=((206, 206, 204), (150, 156, 158))),
        Actor("Bjorn", 66, "espeak:de", "de",
              HeadShape(neck_width=1.03, jaw_width=1.08, width=1.0, nose_width=1.0, nose_height=1.08, nose_length=1.04, brow_ridge=1.4,
                        upper_lip_cm=0.56, lower_lip_cm=0.80, folds=0.7, chin=1.05, length=1.03),
              Style(0.9, 1.0), Light(-30, 24, (1.0, 0.97, 0.94)), (222, 170, 148), (172, 106, 100), (98, 124, 142),
              "short", (132, 96, 58), 6.6, 1.0, "full", (140, 94, 56), freckles=0.25, age=0.5, garment="crew",
              garment_colour=(58, 66, 58), backdrop=((110, 122, 116), (58, 66, 64))),
        Actor("Ines", 77, "espeak:pt", "pt",
              HeadShape(neck_width=0.86, jaw_width=0.94, width=0.99, nose_width=1.05, mouth_half_width_cm=2.6, upper_lip_cm=0.86,
                        lower_lip_cm=1.10, brow_ridge=0.4, folds=0.2, cheeks=1.1, eye_open_cm=0.64, length=0.98),
              Style(1.1, 1.05), Light(40, 30, (1.0, 0.94, 0.86)), (152, 102, 74), (142, 76, 72), (58, 38, 26), "curly",
              (30, 22, 19), 6.3, 1.0, freckles=0.3, age=0.2, lashes=0.9, garment="vneck",
              garment_colour=(214, 200, 182), backdrop=((150, 168, 172), (94, 110, 118))),
        Actor("Edith", 88, "espeak:en-gb", "en",
              HeadShape(neck_width=0.90, jaw_width=0.98, width=0.99, nose_width=1.0, nose_height=1.02, mouth_half_width_cm=2.45,
                        upper_lip_cm=0.50, lower_lip_cm=0.70, brow_ridge=0.5, eye_open_cm=0.54, folds=1.25, chin=0.95),
              Style(0.9, 0.9, sharpness=0.95), Light(-26, 34), (224, 178, 158), (182, 112, 108), (110, 126, 132),
              "bob", (186, 182, 178), 6.2, 0.65, age=0.95, lashes=0.4, garment="shirt", garment_colour=(150, 122, 138),
              backdrop=((188, 180, 170), (128, 120, 114))),
        Actor("Samir", 99, "espeak:ar", "ar",
              HeadShape(jaw_width=1.02, width=0.98, nose_width=1.08, nose_height=1.16, nose_length=1.03, brow_ridge=1.2,
                        upper_lip_cm=0.68, lower_lip_cm=0.92, folds=0.55),
              Style(1.0, 1.0, skew_cm=-0.03), Light(-36, 30, (1.0, 0.92, 0.82)), (190, 138, 104), (156, 92, 82),
              (62, 42, 28), "bald", (30, 24, 22), 9.0, 1.35, "full", (28, 23, 22), age=0.45, garment="crew",
              garment_colour=(44, 46, 54), backdrop=((160, 148, 136), (92, 86, 82))),
        Actor("Noor", 110, "espeak:fr", "fr",
              HeadShape(neck_width=0.86, jaw_width=0.90, width=0.96, nose_width=0.92, nose_height=1.0, mouth_half_width_cm=2.45,
                        upper_lip_cm=0.76, lower_lip_cm=1.0, brow_ridge=0.35, eye_open_cm=0.66, folds=0.15,
                        length=0.98, chin=0.95),
              Style(1.0, 1.0), Light(32, 34), (204, 156, 124), (176, 88, 88), (84, 66, 42), "scarf", (70, 88, 112), 5.6,
              1.15, age=0.2, lashes=1.0, garment="crew", garment_colour=(60, 74, 98),
              backdrop=((200, 186, 166), (142, 126, 110))),
    )


_SKINS: tuple[Colour, ...] = ((230, 188, 166), (222, 176, 150), (206, 156, 126), (184, 134, 102), (156, 106, 78),
                              (124, 82, 58), (98, 64, 46))
_HAIRS: tuple[Colour, ...] = ((22, 18, 18), (38, 28, 24), (70, 46, 32), (112, 76, 46), (160, 120, 74), (128, 70, 42),
                              (150, 148, 146))
_EYES: tuple[Colour, ...] = ((48, 32, 22), (70, 48, 30), (96, 74, 46), (88, 104, 80), (96, 120, 140))
_VOICES = (("espeak:en", "en"), ("espeak:en-gb", "en"), ("espeak:es", "es"), ("espeak:hi", "hi"), ("espeak:de", "de"),
           ("espeak:fr", "fr"), ("espeak:ar", "ar"), ("espeak:pt", "pt"))


def _jitter(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    moved = np.clip(np.array(colour) * (1 + spread * rng.standard_normal()) + 5 * rng.standard_normal(3), 8, 246)
    return (int(moved[0]), int(moved[1]), int(moved[2]))


def random_actor(seed: int, language: str | None = None) -> Actor:
    """One more person; the same seed gives the same one. `language` fixes the voice's language (espeak's code)."""
    rng = np.random.default_rng([seed, 20261122])
    masculine = bool(rng.random() < 0.5)
    tone = int(rng.integers(len(_SKINS)))
    skin = _jitter(rng, _SKINS[tone], 0.03)
    age = float(np.clip(rng.beta(1.5, 2.5), 0, 1))

    def about(centre: float, spread: float) -> float:
        return float(centre + spread * np.clip(rng.standard_normal(), -2, 2))

    shape = HeadShape(
        width=about(1.0, 0.025), jaw_width=about(1.03 if masculine else 0.93, 0.035), length=about(0.99, 0.022),
        neck_width=about(1.0 if masculine else 0.87, 0.03), chin=about(1.0, 0.1), nose_length=about(1.0, 0.03), nose_width=about(0.95 + 0.04 * tone, 0.09),
        nose_height=about(1.0, 0.11), brow_ridge=about(1.1 if masculine else 0.4, 0.2), cheeks=about(1.0, 0.15),
        eye_distance_cm=about(3.15, 0.08), eye_tilt=about(0.07, 0.035), eye_open_cm=about(0.60, 0.05),
        mouth_half_width_cm=about(2.55, 0.12), upper_lip_cm=max(0.42, about(0.66 + 0.04 * tone - 0.15 * age, 0.1)),
        lower_lip_cm=max(0.62, about(0.90 + 0.04 * tone - 0.12 * age, 0.1)), cupid=about(1.0, 0.3),
        folds=float(0.1 + 1.0 * age))
    hair_colour = _HAIRS[6] if age > 0.75 else _HAIRS[int(rng.integers(3 if tone > 2 else 6))]
    styles = ("bald", "buzz", "short", "side", "curly") if masculine else ("long", "bob", "tied", "curly", "scarf")
    hair = styles[int(rng.integers(len(styles)))]
    beard = BEARDS[int(rng.integers(len(BEARDS)))] if masculine else "none"
    red = 0.80 + 0.05 * rng.random()
    lips = _jitter(rng, (int(skin[0] * red), int(skin[1] * 0.60), int(skin[2] * 0.70)), 0.03)
    voice, spoken = _VOICES[int(rng.integers(len(_VOICES)))]
    if language is not None:
        voice, spoken = f"espeak:{language}", language
    wall = rng.integers(70, 215, 3) * 0.3 + rng.integers(80, 210) * 0.7
    return Actor(
        name=f"random-{seed}", seed=seed, voice=voice, language=spoken, shape=shape,
        style=Style(about(1.0, 0.1), about(1.0, 0.08), 0.0, about(1.0, 0.08), about(0.0, 0.03)),
        light=Light(float(rng.choice([-1, 1]) * rng.uniform(15, 50)), float(rng.uniform(15, 42)),
                    (1.0, float(rng.uniform(0.90, 0.98)), float(rng.uniform(0.80, 0.96))), (0.56, 0.61, 0.69),
                    float(rng.uniform(0.92, 1.12)), float(rng.uniform(0.28, 0.5))),
        skin=skin, lips=lips, eyes=_jitter(rng, _EYES[int(rng.integers(2 if tone > 2 else 5))], 0.08), hair=hair,
        hair_colour=_jitter(rng, hair_colour, 0.08) if hair != "scarf" else _jitter(rng, (110, 96, 104), 0.3),
        hairline_cm=about(6.3 if hair != "scarf" else 5.6, 0.2), brow_thickness=about(1.15 if masculine else 0.85, 0.12),
        beard=beard, beard_colour=_jitter(rng, hair_colour, 0.05), freckles=float(max(0.0, about(-0.1, 0.35))) * (tone < 3),
        age=age, lashes=0.5 if masculine else float(rng.uniform(0.7, 1.0)),
        garment=GARMENTS[int(rng.integers(len(GARMENTS)))], garment_colour=_jitter(rng, (120, 112, 116), 0.35),
        backdrop=(_jitter(rng, (int(wall[0]), int(wall[1]), int(wall[2])), 0.05),
                  _jitter(rng, (int(wall[0] * 0.6), int(wall[1] * 0.6), int(wall[2] * 0.62)), 0.05)))
