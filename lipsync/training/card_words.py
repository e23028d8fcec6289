"""An adapter's card in a creator's words: what each reading means, whether it is good, what to do where it is not.

Imports nothing heavy: the app and the command line show it from the adapter's header.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lipsync.progress import format_s

GOOD, FAIR, WEAK = "good", "fair", "weak"


@dataclass(frozen=True)
class Reading:
    """One line of the card. `better` is "higher", "lower" or "one" (1 is right); `good` and `fair` bound the words."""

    title: str
    better: str
    good: float
    fair: float
    advice: str

    def word(self, value: float) -> str:
        """Good, fair or weak."""
        far = {"higher": -value, "lower": value, "one": abs(1 - value)}[self.better]
        good, fair = (-self.good, -self.fair) if self.better == "higher" else (self.good, self.fair)
        return GOOD if far <= good else FAIR if far <= fair else WEAK

    def verdict(self, before: float, after: float) -> str:
        """Better than the base, the same, or worse."""
        distance = {"higher": lambda v: -v, "lower": lambda v: v, "one": lambda v: abs(1 - v)}[self.better]
        gain = distance(before) - distance(after)
        small = 0.01 * max(abs(before), abs(after), 0.1)
        return "as the base" if abs(gain) <= small else "better than the base" if gain > 0 else "worse than the base"


READINGS = {
    "opening_correlation": Reading(
        "The mouth moves with their voice", "higher", 0.85, 0.6, "bring more footage with clear, close sound"
    ),
    "opening_spread": Reading("How far it opens, of the real (1 is right)", "one", 0.12, 0.3, "bring livelier speech"),
    "closes_on_p_b_m": Reading(
        "Lips close on p, b, m of another's speech", "higher", 0.85, 0.7, "check that sound and picture are in sync"
    ),
    "silent_motion_of_shape": Reading("Movement in silence", "lower", 0.1, 0.3, "bring footage with pauses"),
    "cross_sync": Reading(
        "The picture does what another's speech asks", "higher", 0.9, 0.75, "learn for fewer minutes, or bring more"
    ),
    "cross_judge": Reading("Lips and another's speech belong together (judge)", "higher", 0.3, 0.15, "learn for less"),
    "mouth_error_grey": Reading("Unlike the real mouth, grey levels of 255", "lower", 6.0, 10.0, "learn longer"),
    "mouth_sharpness": Reading("Sharpness of the mouth, of the real (1 is right)", "one", 0.1, 0.25, "learn longer"),
    "inner_mouth_detail": Reading("Teeth and tongue as theirs", "higher", 0.6, 0.35, "bring close, well-lit footage"),
    "cross_sharpness": Reading("Sharpness with another's speech", "one", 0.15, 0.3, "learn longer"),
}


def card_rows(card: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(what, base, learned, in words) of every reading that the card has."""
    rows = []
    for name, reading in READINGS.items():
        found = card.get(name)
        if isinstance(found, Mapping) and "before" in found and "after" in found:
            before, after = float(found["before"]), float(found["after"])
            words = f"{reading.word(after)}, {reading.verdict(before, after)}"
            words += f"; {reading.advice}" if reading.word(after) == WEAK else ""
            rows.append((reading.title, f"{before:.2f}", f"{after:.2f}", words))
    return rows


def card_text(notes: Mapping[str, Any]) -> str:
    """The adapter's header as text for people."""
    lines = [
        f"{notes.get('person', '?')}: learned from {format_s(float(notes.get('footage_s', 0)))} of footage; "
        f"measured on {notes.get('held_out_clips', 'the')} clips held out, base → learned"
    ]
    lines += [
        f"  {what:50}{base} → {learned}  {words}" for what, base, learned, words in card_rows(notes.get("card", {}))
    ]
    consent = notes.get("consent") or {}
    lines.append(
        f"  consent: {consent.get('subject', 'none')}, {consent.get('date', '')}, recorded by "
        f"{consent.get('recorded_by', '?')}; record {str(notes.get('consent_digest', ''))[:12]}"
    )
    lines.append(f"  base: {notes.get('base', '?')} {str(notes.get('base_hash', ''))[:12]}")
    return "\n".join(lines)
