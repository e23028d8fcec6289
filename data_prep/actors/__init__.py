"""Virtual actors: people who don't exist, speaking, with their exact mouth shapes known."""

from data_prep.actors.actor import Actor, Light
from data_prep.actors.cast import cast
from data_prep.actors.footage import ExactFootage, landmarks_path, load_landmarks, render_footage
from data_prep.actors.geometry import HeadShape
from data_prep.actors.made_up import random_actor
from data_prep.actors.performing import ActorFrame, perform
from data_prep.actors.sentences import passage, sentence
from data_prep.actors.visemes import Articulation, Style, mouth_motion

__all__ = [
    "Actor",
    "ActorFrame",
    "Articulation",
    "ExactFootage",
    "HeadShape",
    "Light",
    "Style",
    "cast",
    "landmarks_path",
    "load_landmarks",
    "mouth_motion",
    "passage",
    "perform",
    "random_actor",
    "render_footage",
    "sentence",
]
