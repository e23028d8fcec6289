"""What is written and how it is said: money, units, years, abbreviations digits in many languages; word times."""

import numpy as np
import pytest

from lipsync.errors import SpeechError
from lipsync.speech.sentences import split_long, split_sentences
from lipsync.speech.voices import Mark, open_voice
from lipsync.speech.voices.engine_text import engine_text
from lipsync.speech.voices.phonetics import to_mnemonics
from lipsync.speech.wording import spoken_form

SAID = [
    ("en", "$5, $5.20, $1 or €3 million", "5 dollars, 5 dollars 20, 1 dollar or 3 million euros"),
    ("en", "in 1999, May 5, 1905 and since 2024", "in 19 99, May 5, 19 oh 5 and since 20 24"),
    ("en", "No. 5 vs. 10-20 km at 20 °C", "number 5 versus 10 to 20 kilometers at 20 degrees celsius"),
    ("en", "call 555-1234 at 10:30 on 2024-05-01, 3.14", "call 555-1234 at 10:30 on 2024-05-01, 3.14"),
    ("en", "No. She saw 2005 people", "No. She saw 2005 people"),
    ("de", "z. B. am 1. Mai 1985, z.B. der 21. Juni", "zum Beispiel am ersten Mai 19 hundert 85, zum Beispiel der "
     "einundzwanzigster Juni"),
    ("de", "Dr. Ott zahlt 5 € um 10:30 Uhr usw.", "Doktor Ott zahlt 5 Euro um 10 Uhr 30 und so weiter"),
    ("es", "EE. UU. paga $1 y 5 €", "Estados Unidos paga 1 dólar y 5 euros"),
    ("fr", "M. Dupont paie 5 € pour 3 km", "monsieur Dupont paie 5 euros pour 3 kilomètres"),
    ("it", "il Sig. Rossi ha 5 €", "il signor Rossi ha 5 euro"),
    ("pt", "O Sr. Silva tem R$ 5", "O senhor Silva tem 5 reais"),
    ("nl", "bijv. 5 €", "bijvoorbeeld 5 euro"),
    ("hi", "डॉ. शर्मा के पास ₹२५ हैं, 1999 में 50%", "डॉक्टर शर्मा के पास 25 रुपये हैं, 19 सौ 99 में 50 प्रतिशत"),
    ("ru", "5 ₽, 21 ₽, 2 ₽, 12%, т. е. 3 км", "5 рублей, 21 рубль, 2 рубля, 12 процентов, то есть 3 километра"),
    ("uk", "22 ₴ і 5%", "22 гривні і 5 відсотків"),
    ("pl", "5 zł, np. 1 zł", "5 złotych, na przykład 1 złoty"),
    ("tr", "50% ve 5 ₺", "yüzde 50 ve 5 lira"),
    ("cmn", "2024年有50%，¥5", "二零二四年有百分之50，5元"),
    ("ja", "50%で¥5", "50ぱーせんとで5えん"),
    ("ko", "50%와 ₩5", "50 퍼센트와 5 원"),
    ("ar", "د. أحمد لديه ٢٥%", "دكتور أحمد لديه 25 بالمئة"),
    ("ur", "۲۵", "25"),
    ("th", "21 และ 101", "ยี่สิบเอ็ด และ หนึ่งร้อยเอ็ด"),
    ("xx", "$5 z. B. ৫", "$5 z. B. 5"),
]  # fmt: skip
NUMBERS = {  # 25 is said as its words are
    "en": "twenty five", "de": "fünfundzwanzig", "es": "veinticinco", "it": "venticinque", "pl": "dwadzieścia pięć",
    "id": "dua puluh lima", "hu": "huszonöt", "cs": "dvacet pět", "sw": "ishirini na tano", "ko": "이십오",
    "cmn": "二十五", "bn": "পঁচিশ", "fr": "vingt-cinq", "th": "ยี่สิบห้า",
}  # fmt: skip
LONG = {
    "en": "I came, I saw, and then I went home again. Was it late? Yes!",
    "ar": "ذهب الولد إلى المدرسة، ثم عاد إلى البيت. هل كان متعبا؟ نعم!",
    "hi": "वह आया, उसने देखा और चला गया। क्या देर हुई? हाँ!",
    "cmn": "我来了，我看见了，然后我回家了。很晚吗？是的！",
    "ja": "来ました、見ました、そして帰りました。遅かったですか？はい！",
    "ko": "나는 왔고, 보았고, 집에 갔다. 늦었나요? 네!",
    "th": "ฉันมาแล้ว ฉันเห็นแล้ว แล้วฉันก็กลับบ้าน ดึกไหม ใช่",
    "ru": "Я пришёл, увидел и ушёл домой. Поздно? Да!",
    "ta": "நான் வந்தேன், பார்த்தேன், வீட்டுக்கு சென்றேன். தாமதமா? ஆம்!",
    "he": "באתי, ראיתי, והלכתי הביתה. מאוחר? כן!",
    "am": "መጣሁ፣ አየሁ፣ ወደ ቤት ሄድኩ። ዘገየ? አዎ!",
    "el": "Ήρθα, είδα και πήγα σπίτι. Ήταν αργά; Ναι!",
    "ur": "میں آیا، میں نے دیکھا، اور چلا گیا۔ کیا دیر ہوئی؟ ہاں!",
}


@pytest.mark.parametrize(("language", "written", "said"), SAID)
def test_said_as_it_should_be(language, written, said):
    wording = spoken_form(written, language)
    assert wording.text == said
    assert len(wording.origin) == len(said) + 1 and wording.origin[-1] == len(written)
    assert list(wording.origin) == sorted(wording.origin)


def test_what_is_left_alone_comes_from_its_own_place():
    rng = np.random.default_rng(0)
    alphabet = list("ab 5.,$€%-–19 99in z.B.२५年 km₽\n")
    for _ in range(2000):
        text = "".join(rng.choice(alphabet, size=rng.integers(0, 30)))
        language = str(rng.choice(["en", "de", "hi", "cmn", "ru", "th", "xx"]))
        wording = spoken_form(text, language)
        assert len(wording.origin) == len(wording.text) + 1
        assert list(wording.origin) == sorted(wording.origin) and wording.origin[-1] == len(text)
        assert not any(character in wording.text for character in "२५")


@pytest.mark.parametrize("language", NUMBERS)
def test_numbers_are_spoken_in_the_language(language):
    voice = open_voice(f"espeak:{language}")
    number, words = ([p.text.strip("ˈˌ") for p in voice.speak(text).phonemes] for text in ("25", NUMBERS[language]))
    assert len(number) >= 4 and number == words


def test_words_stay_as_written_with_times_of_their_own():
    speech = open_voice("espeak:en").speak("In 1999 it was $5.20 & he said: no 10-20 km, to be fair.")
    assert [w.text for w in speech.words] == ["In", "1999", "it", "was", "5.20", "he", "said", "no", "10", "20", "km",
                                              "to", "be", "fair"]  # fmt: skip
    edges = np.array([(w.start_s, w.end_s) for w in speech.words])
    assert (edges[:, 1] > edges[:, 0]).all() and (edges[1:, 0] >= edges[:-1, 1] - 1e-9).all()


def test_emphasis_and_pronunciation():
    voice, text = open_voice("espeak:en"), "I said never go to Nevada & <back>"
    plain = voice.speak(text)
    marks = (Mark(7, 12, emphasis=True), Mark(19, 25, ipa="nəˈvɑːdə"))
    marked = voice.speak(text, marks=marks)
    assert [w.text for w in marked.words] == ["I", "said", "never", "go", "to", "Nevada", "back"]
    lengths = [next(w.end_s - w.start_s for w in speech.words if w.text == "never") for speech in (plain, marked)]
    assert lengths[1] > 1.1 * lengths[0]
    assert "".join(p.text for p in marked.phonemes).count("nəvˈɑːdə") == 1


@pytest.mark.parametrize("language", ["es", "fr", "hi", "ru", "it"])
def test_phonemes_that_a_language_lacks_are_replaced_not_cut_off(language):
    speech = open_voice(f"espeak:{language}").speak("a", marks=(Mark(0, 1, ipa="nəˈvɑːdə"),))
    consonants = [p.text for p in speech.phonemes if p.text.strip("ˈˌ")[0] in "nvʋdð"]
    assert len(consonants) == 3 and len(speech.phonemes) >= 6


def test_ipa_that_is_none():
    assert to_mnemonics("/ˈtʃiːz/") == "'tSi:z"
    for bad in ("x!", "ʘa", "日"):
        with pytest.raises(SpeechError, match="is no IPA symbol"):
            to_mnemonics(bad)


def test_marked_text_knows_where_it_came_from():
    text = "pay $5 or <b> & never"
    given = engine_text(text, "en", (Mark(14, 15), Mark(16, 21, emphasis=True), Mark(18, 21, ipa="a")))
    assert given.text == 'pay 5 dollars or  b  &amp; <emphasis level="strong">never</emphasis>'
    assert len(given.origin) == len(given.text) + 1
    for word in ("pay", "never"):
        assert given.origin[given.text.index(word)] == text.index(word)
    assert given.origin[given.text.index("dollars")] == text.index("$")


@pytest.mark.parametrize("language", LONG)
def test_long_texts_split_in_every_script(language):
    text = LONG[language]
    sentences = split_sentences(text)
    assert "".join(sentences) == text
    assert len(sentences) == (1 if language == "th" else 2 if language == "el" else 3)
    voice = open_voice(f"espeak:{language}")
    long = text.replace(" ", "") * 30 if language in ("th", "cmn", "ja") else text * 30
    for most in (7, 40, 300):
        parts = split_long(long, most)
        assert "".join(parts) == long and all(0 < len(part) <= most for part in parts)
        assert min(map(len, parts[:-1])) >= 0.3 * most
    assert all(voice.speak(sentence).sound.duration_s > 0.1 for sentence in sentences)


def test_marks_on_letters_are_not_torn_off():
    import unicodedata

    for text in ("कि" * 400, "กำ้" * 300, "e\u0301" * 300, "👩\u200d👧" * 200):
        for part in split_long(text, 50)[1:]:
            assert unicodedata.category(part[0])[0] != "M" and part[0] != "\u200d"
