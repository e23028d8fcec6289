"""Consent records: whole or refused, and changed words are seen."""

import json

import pytest

from lipsync.consent import Consent, read_consent, record_consent
from lipsync.errors import ConsentError


def test_round_trip_keeps_every_word(tmp_path):
    consent = record_consent("Zoë Müller", "me", "I agree – “fully”.", ("video", "voice"), "signed paper")
    path = tmp_path / "consent.json"
    path.write_text(json.dumps(consent.to_json()), encoding="utf-8")
    assert read_consent(path) == consent
    assert read_consent(path).digest == consent.digest


def test_the_usual_statement_names_the_person():
    assert "Anna" in record_consent("Anna", "me").statement


def test_a_changed_word_changes_the_digest():
    consent = record_consent("Anna", "me", "I agree.")
    changed = Consent.from_json(consent.to_json() | {"statement": "I do not agree."})
    assert changed.digest != consent.digest


@pytest.mark.parametrize(
    "change",
    [
        {"subject": " "},
        {"recorded_by": ""},
        {"statement": ""},
        {"date": "yesterday"},
        {"covers": []},
        {"covers": ["everything"]},
        {"covers": "video"},
        {"subject": 7},
        {"colour": "red"},
    ],
)
def test_half_a_record_is_refused(change):
    with pytest.raises(ConsentError):
        Consent.from_json(record_consent("Anna", "me").to_json() | change)


def test_a_missing_record_is_refused(tmp_path):
    for nothing in (None, {}, []):
        with pytest.raises(ConsentError, match="no consent record"):
            Consent.from_json(nothing)
    with pytest.raises(ConsentError, match=r"none\.json"):
        read_consent(tmp_path / "none.json")


def test_what_is_not_covered_is_refused():
    consent = record_consent("Anna", "me")
    consent.check("video")
    with pytest.raises(ConsentError, match="not voice"):
        consent.check("voice")
