"""What an actor is: one person by parameters. None of them exists; cast.py names ten, made_up.py makes more."""

from dataclasses import dataclass, field

from data_prep.actors.geometry import HeadShape
from data_prep.actors.visemes import Style

Colour = tuple[int, int, int]  # sRGB
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
    hairline_cm: float = 6.4  # height of the hairline above the eyes
    brow_thickness: float = 1.0
    beard: str = "none"
    beard_colour: Colour | None = None  # the hair's when None
    freckles: float = 0.0
    age: float = 0.3  # 0 young … 1 old: folds, blotches, eye bags
    lashes: float = 0.6
    garment: str = "crew"
    garment_colour: Colour = (70, 84, 104)
    backdrop: tuple[Colour, Colour] = ((176, 178, 176), (112, 116, 122))
