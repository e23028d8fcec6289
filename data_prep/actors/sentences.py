"""Sentences for actors to speak: plenty, varied in sound, made by small grammars written for this project."""

import numpy as np

# Each language: patterns with slots, and what fills a slot. Words are chosen so that p, b, m, f, v, w, rounded and
# spread vowels come often, for these are what lips show.
_PATTERNS: dict[str, tuple[str, ...]] = {
    "en": (
        "{who} {did} {what} {where}.",
        "Before {time}, {who} {did} {what}.",
        "Why would {who} keep {what} {where}?",
        "{number} {things} fell {where}, and {who} laughed.",
        "My {kin} thinks that {who} {did} {what}.",
        "Please bring {what} {where} by {time}.",
        "If you move {what}, {who} may never find the {thing}.",
        '{who} said: "We both {verb} {where} every {day}."',
        "Oh, what a {adjective}, {adjective} {thing}!",
        "I found {number} {things} {where} on {day}.",
    ),
    "es": (
        "{who} {did} {what} {where}.",
        "¿Por qué {who} {did} {what}?",
        "{time}, {who} {did} {what} {where}.",
        "Mi {kin} siempre {did} {what} cuando llueve.",
        "¡Qué {adjective} es {what}!",
    ),
    "fr": (
        "{who} {did} {what} {where}.",
        "Pourquoi {who} {did} {what} ?",
        "{time}, {who} {did} {what} {where}.",
        "Ma {kin} pense que {who} {did} {what}.",
        "Comme {what} est {adjective} !",
    ),
    "de": (
        "{who} {did} {what} {where}.",
        "Warum {did} {who} {what}?",
        "{time} {did} {who} {what} {where}.",
        "Meine {kin} glaubt, {who} ist {adjective}.",
    ),
    "hi": ("{who} {where} {what} {did}।", "{time} {who} ने {what} देखा।", "क्या {who} {where} {what} {did}?"),
    "ar": ("{who} {did} {what} {where}.", "{time} {did} {who} {what}.", "هل {did} {who} {what} {where}؟"),
    "pt": ("{who} {did} {what} {where}.", "{time}, {who} {did} {what}.", "Por que {who} {did} {what} {where}?"),
}
_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "who": (
            "the painter",
            "Bob",
            "my mother",
            "a brave woman",
            "the whole family",
            "Peter",
            "our neighbour",
            "the old fisherman",
            "Wanda",
            "a famous chef",
            "everybody",
            "the boy from Warsaw",
        ),
        "did": (
            "bought",
            "wrapped",
            "painted",
            "threw",
            "found",
            "borrowed",
            "gave away",
            "hid",
            "measured",
            "pushed",
            "imagined",
            "wove",
            "opened",
        ),
        "what": (
            "a purple umbrella",
            "five warm blankets",
            "the broken window",
            "a bowl of plum soup",
            "two maps",
            "the wooden boat",
            "a very thin book",
            "some fresh bread",
            "a big brown box",
            "those heavy pots",
            "an empty frame",
            "the moon lamp",
            "cheap yellow shoes",
        ),
        "where": (
            "by the river",
            "above the harbour",
            "in the empty room",
            "near the museum",
            "under the bridge",
            "at the farm",
            "behind the theatre",
            "on the roof",
            "beyond the village",
            "in Vienna",
        ),
        "time": ("Monday morning", "half past five", "the evening show", "November", "breakfast", "the first of May"),
        "number": ("Five", "Twelve", "Seven", "About fifty", "Four hundred"),
        "things": ("apples", "wheels", "brushes", "marbles", "papers", "feathers", "mushrooms"),
        "thing": ("map", "wave", "bubble", "path", "voice", "problem", "football", "worm", "jewel"),
        "kin": ("brother", "mother", "father", "best friend", "uncle", "wife"),
        "verb": ("swim", "meet", "jump", "pray", "move", "practise", "whisper", "weep", "fish"),
        "day": ("Wednesday", "weekend", "Friday", "morning", "summer"),
        "adjective": ("beautiful", "awful", "simple", "peculiar", "wobbly", "smooth", "marvellous", "cheerful", "odd"),
    },
    "es": {
        "who": ("mi abuela", "el pintor", "Pablo", "una buena amiga", "el bombero", "Eva", "nuestra vecina"),
        "did": ("compra", "pinta", "busca", "abre", "empuja", "vende", "prepara", "olvida"),
        "what": (
            "un paraguas morado",
            "la ventana rota",
            "una sopa de uvas",
            "el mapa viejo",
            "un barco pequeño",
            "pan fresco",
            "muchas mariposas",
            "el último libro",
        ),
        "where": ("junto al puente", "en Bilbao", "bajo la lluvia", "cerca del museo", "por la mañana"),
        "time": ("El lunes", "A las nueve", "En otoño", "Después de comer"),
        "kin": ("hermano", "madre", "padre", "primo"),
        "adjective": ("bonito", "amable", "simple", "fuerte", "profundo"),
    },
    "fr": {
        "who": ("ma voisine", "le boulanger", "Paul", "une bonne amie", "le pompier", "notre famille"),
        "did": ("peint", "trouve", "ouvre", "pousse", "emballe", "oublie", "prépare"),
        "what": (
            "un parapluie mauve",
            "la fenêtre",
            "une soupe aux poireaux",
            "le vieux bateau",
            "beaucoup de pommes",
            "un petit bouquet",
        ),
        "where": ("près du pont", "sous la pluie", "au musée", "devant la boutique", "en automne"),
        "time": ("Lundi", "À midi", "Avant le repas", "Un beau matin"),
        "kin": ("mère", "femme", "sœur", "famille"),
        "adjective": ("beau", "simple", "drôle", "bizarre", "fameux"),
    },
    "de": {
        "who": ("meine Mutter", "der Maler", "Paul", "eine gute Freundin", "die ganze Familie", "Uwe"),
        "did": ("kauft", "malt", "findet", "öffnet", "verpackt", "probiert", "vermisst"),
        "what": (
            "einen bunten Schirm",
            "das kaputte Fenster",
            "fünf Bücher",
            "ein blaues Boot",
            "die Suppe",
            "warmes Brot",
            "viele Äpfel",
        ),
        "where": ("am Fluss", "über der Brücke", "im Museum", "vor dem Bahnhof", "auf dem Dorf"),
        "time": ("Am Montag", "Um halb fünf", "Im November", "Vor dem Frühstück"),
        "kin": ("Mutter", "Frau", "Familie"),
        "adjective": ("wunderbar", "müde", "berühmt", "böse", "fröhlich"),
    },
    "hi": {
        "who": ("मेरी माँ", "वह लड़का", "मेरा भाई", "हमारा पड़ोसी", "पूरा परिवार"),
        "did": ("ढूँढता है", "बनाता है", "लाता है", "खोलता है", "बेचता है", "भूल जाता है"),
        "what": ("नीला छाता", "गरम रोटी", "पुरानी किताब", "बड़ा बक्सा", "पाँच फूल", "मीठे आम"),
        "where": ("बाज़ार में", "पुल के पास", "घर के ऊपर", "बाग़ में", "मुंबई में"),
        "time": ("सुबह", "सोमवार को", "बारिश में", "शाम को"),
    },
    "ar": {
        "who": ("أبي", "المعلم", "صديقي", "جارنا", "الولد"),
        "did": ("يفتح", "يبيع", "يحمل", "يكتب", "يرسم", "يشرب"),
        "what": ("الباب الكبير", "كتابا قديما", "خبزا طازجا", "خمسة أقلام", "صورة جميلة", "ماء باردا"),
        "where": ("في البيت", "قرب البحر", "فوق الجبل", "في السوق", "أمام المسجد"),
        "time": ("في المساء", "يوم الاثنين", "في الصباح", "قبل الغداء"),
    },
    "pt": {
        "who": ("a minha avó", "o pintor", "Paulo", "uma boa amiga", "o bombeiro", "toda a família"),
        "did": ("compra", "pinta", "procura", "abre", "empurra", "prepara", "esquece"),
        "what": (
            "um guarda-chuva roxo",
            "a janela",
            "uma sopa de abóbora",
            "o barco velho",
            "pão fresco",
            "muitas borboletas",
        ),
        "where": ("perto da ponte", "em Lisboa", "debaixo da chuva", "no museu", "pela manhã"),
        "time": ("Na segunda-feira", "Ao meio-dia", "No outono", "Depois do almoço"),
    },
}


def languages() -> tuple[str, ...]:
    """Languages there are sentences for."""
    return tuple(_PATTERNS)


def sentence(language: str, seed: int) -> str:
    """One sentence; the same seed gives the same one. A variant such as "en-gb" counts as "en"; unknown ones too."""
    known = language.split("-")[0]
    known = known if known in _PATTERNS else "en"
    rng = np.random.default_rng([seed, 77])
    text = _PATTERNS[known][int(rng.integers(len(_PATTERNS[known])))]
    for slot, words in _WORDS[known].items():
        while "{" + slot + "}" in text:
            text = text.replace("{" + slot + "}", words[int(rng.integers(len(words)))], 1)
    return text[0].upper() + text[1:]


def passage(language: str, seed: int, seconds: float, characters_per_s: float = 14.0) -> str:
    """Sentences for about so many seconds of speech."""
    text, count = "", 0
    while not text or len(text) < seconds * characters_per_s:
        text = f"{text} {sentence(language, 1000 * seed + count)}".strip()
        count += 1
    return text
