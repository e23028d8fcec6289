"""The words of wording.py, by language. "a|b" is one and many; "a|b|c" one, few and many; "#" stands for the number."""

CURRENCIES = {
    "en": {"$": "dollar|dollars", "€": "euro|euros", "£": "pound|pounds", "¥": "yen", "₹": "rupee|rupees"},
    "de": {"$": "Dollar", "€": "Euro", "£": "Pfund", "¥": "Yen", "₹": "Rupien"},
    "es": {"$": "dólar|dólares", "€": "euro|euros", "£": "libra|libras", "¥": "yen|yenes", "₹": "rupia|rupias"},
    "fr": {"$": "dollar|dollars", "€": "euro|euros", "£": "livre|livres", "¥": "yen|yens", "₹": "roupie|roupies"},
    "it": {"$": "dollaro|dollari", "€": "euro", "£": "sterlina|sterline", "¥": "yen", "₹": "rupia|rupie"},
    "pt": {"R$": "real|reais", "$": "dólar|dólares", "€": "euro|euros", "£": "libra|libras", "¥": "iene|ienes"},
    "nl": {"$": "dollar", "€": "euro", "£": "pond", "¥": "yen", "₹": "roepie"},
    "sv": {"$": "dollar", "€": "euro", "£": "pund", "¥": "yen"},
    "hi": {"₹": "रुपया|रुपये", "$": "डॉलर", "€": "यूरो", "£": "पाउंड", "¥": "येन"},
    "ru": {
        **{"₽": "рубль|рубля|рублей", "$": "доллар|доллара|долларов", "€": "евро", "£": "фунт|фунта|фунтов"},
        **{"¥": "иена|иены|иен", "₹": "рупия|рупии|рупий"},
    },
    "uk": {"₴": "гривня|гривні|гривень", "$": "долар|долари|доларів", "€": "євро"},
    "pl": {"zł": "złoty|złote|złotych", "$": "dolar|dolary|dolarów", "€": "euro"},
    "tr": {"₺": "lira", "$": "dolar", "€": "avro", "£": "sterlin"},
    "cmn": {"¥": "元", "$": "美元", "€": "欧元", "£": "英镑"},
    "ja": {"¥": "えん", "$": "どる", "€": "ゆーろ", "£": "ぽんど"},
    "ko": {"₩": "원", "$": "달러", "€": "유로", "£": "파운드", "¥": "엔"},
    "ar": {"$": "دولار", "€": "يورو", "£": "جنيه"},
    "ur": {"₨": "روپے", "₹": "روپے", "$": "ڈالر", "€": "یورو"},
    "fa": {"$": "دلار", "€": "یورو"},
    "id": {"Rp": "rupiah", "$": "dolar", "€": "euro"},
    "th": {"฿": "บาท", "$": "ดอลลาร์", "€": "ยูโร"},
}
SCALES = {
    "en": ("thousand", "million", "billion", "trillion"),
    "de": ("Tausend", "Million", "Millionen", "Milliarde", "Milliarden"),
    "es": ("mil", "millón", "millones"),
    "fr": ("mille", "million", "millions", "milliard", "milliards"),
    "it": ("mila", "milione", "milioni", "miliardo", "miliardi"),
    "pt": ("mil", "milhão", "milhões", "bilhão", "bilhões"),
    "hi": ("हज़ार", "लाख", "करोड़", "अरब"),
    "ru": ("тысяч", "миллион", "миллиона", "миллионов", "миллиардов"),
}
PERCENT = {
    **{"ru": "# процент|# процента|# процентов", "uk": "# відсоток|# відсотки|# відсотків", "pl": "# procent"},
    **{"cmn": "百分之#", "ja": "#ぱーせんと", "ko": "# 퍼센트", "ar": "# بالمئة", "fa": "# درصد", "ur": "# فیصد"},
    **{"th": "# เปอร์เซ็นต์", "tr": "yüzde #", "he": "# אחוז", "hi": "# प्रतिशत"},
}
UNITS = {
    "en": {
        **{
            "km/h": "kilometers per hour",
            "mph": "miles per hour",
            "km": "kilometer|kilometers",
            "cm": "centimeter|centimeters",
        },
        **{"mm": "millimeter|millimeters", "kg": "kilogram|kilograms", "lb": "pound|pounds", "ft": "foot|feet"},
        **{
            "°C": "degrees celsius",
            "°F": "degrees fahrenheit",
            "m²": "square meters",
            "GB": "gigabytes",
            "MB": "megabytes",
        },
    },
    "de": {
        **{
            "km/h": "Kilometer pro Stunde",
            "km": "Kilometer",
            "cm": "Zentimeter",
            "mm": "Millimeter",
            "kg": "Kilogramm",
        },
        **{"°C": "Grad Celsius", "m²": "Quadratmeter", "GB": "Gigabyte", "MB": "Megabyte"},
    },
    "es": {
        **{"km/h": "kilómetros por hora", "km": "kilómetro|kilómetros", "cm": "centímetro|centímetros"},
        **{"mm": "milímetro|milímetros", "kg": "kilo|kilos", "°C": "grados Celsius", "m²": "metros cuadrados"},
    },
    "fr": {
        **{"km/h": "kilomètres heure", "km": "kilomètre|kilomètres", "cm": "centimètre|centimètres"},
        **{"mm": "millimètre|millimètres", "kg": "kilo|kilos", "°C": "degrés Celsius", "m²": "mètres carrés"},
    },
    "it": {
        **{"km/h": "chilometri orari", "km": "chilometro|chilometri", "cm": "centimetro|centimetri"},
        **{"mm": "millimetro|millimetri", "kg": "chilo|chili", "°C": "gradi Celsius", "m²": "metri quadrati"},
    },
    "pt": {
        **{"km/h": "quilômetros por hora", "km": "quilômetro|quilômetros", "cm": "centímetro|centímetros"},
        **{"mm": "milímetro|milímetros", "kg": "quilo|quilos", "°C": "graus Celsius", "m²": "metros quadrados"},
    },
    "hi": {"km": "किलोमीटर", "किमी": "किलोमीटर", "kg": "किलोग्राम", "किग्रा": "किलोग्राम", "°C": "डिग्री सेल्सियस"},
    "ru": {
        **{"км/ч": "километров в час", "км": "километр|километра|километров", "кг": "килограмм|килограмма|килограммов"},
        **{"см": "сантиметр|сантиметра|сантиметров", "°C": "градусов Цельсия"},
    },
}
RANGES = {
    **{"en": "to", "de": "bis", "es": "a", "fr": "à", "it": "a", "pt": "a", "nl": "tot", "hi": "से", "tr": "ile"},
    **{"sv": "till", "pl": "do", "ru": "до", "id": "sampai", "cmn": "到", "ja": "から", "ko": "에서", "ar": "إلى"},
}
YEAR_AFTER = {
    "en": ("in", "since", "by", "until", "till", "year", "before", "after", "around", "circa", "early", "late", "from"),
    "de": ("Jahr", "Jahre", "Jahres", "seit", "anno", "um", "vor", "nach", "bis", "in"),
}
MONTHS = {
    "en": (
        *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
        *("November", "December"),
    ),
    "de": (
        *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November"),
        "Dezember",
    ),
}
ABBREVIATIONS = {  # "#" at the end: only before a number
    "en": {
        **{"vs.": "versus", "vs": "versus", "approx.": "approximately", "Prof.": "Professor", "Dept.": "department"},
        **{
            "No.#": "number",
            "Nos.#": "numbers",
            "Fig.#": "figure",
            "Vol.#": "volume",
            "w/": "with",
            "Capt.": "captain",
        },
        **{"Jan.": "January", "Feb.": "February", "Aug.": "August", "Sept.": "September", "Oct.": "October"},
        **{"Nov.": "November", "Dec.": "December", "St. Louis": "Saint Louis", "Ave.": "avenue", "Rev.": "reverend"},
    },
    "de": {
        **{"z. B.": "zum Beispiel", "d. h.": "das heißt", "u. a.": "unter anderem", "usw.": "und so weiter"},
        **{"bzw.": "beziehungsweise", "Dr.": "Doktor", "Prof.": "Professor", "Nr.": "Nummer", "ca.": "circa"},
        **{"ggf.": "gegebenenfalls", "evtl.": "eventuell", "inkl.": "inklusive", "Mio.": "Millionen"},
        **{"Mrd.": "Milliarden", "Hr.": "Herr", "v. a.": "vor allem", "etc.": "et cetera", "Str.": "Straße"},
    },
    "es": {
        "EE. UU.": "Estados Unidos",
        "p. ej.": "por ejemplo",
        "núm.": "número",
        "pág.": "página",
        "Srta.": "señorita",
    },
    "fr": {
        **{"M.": "monsieur", "MM.": "messieurs", "p. ex.": "par exemple", "c.-à-d.": "c'est-à-dire", "n°": "numéro"},
        **{"Dr": "docteur", "St": "saint", "Ste": "sainte"},
    },
    "it": {
        **{"Sig.": "signor", "Sig.ra": "signora", "Sigg.": "signori", "Dott.": "dottor", "Dott.ssa": "dottoressa"},
        **{"ecc.": "eccetera", "Prof.": "professor", "Ing.": "ingegner", "p. es.": "per esempio"},
    },
    "pt": {
        **{"Sr.": "senhor", "Sra.": "senhora", "Dr.": "doutor", "Dra.": "doutora", "p. ex.": "por exemplo"},
        **{"Prof.": "professor", "etc.": "etcétera", "nº": "número"},
    },
    "nl": {
        **{"bijv.": "bijvoorbeeld", "enz.": "enzovoort", "dhr.": "de heer", "mevr.": "mevrouw", "o.a.": "onder andere"},
        **{"d.w.z.": "dat wil zeggen", "nr.": "nummer"},
    },
    "sv": {"t.ex.": "till exempel", "bl.a.": "bland annat", "osv.": "och så vidare", "dvs.": "det vill säga"},
    "pl": {
        "np.": "na przykład",
        "itd.": "i tak dalej",
        "itp.": "i tym podobne",
        "m.in.": "między innymi",
        "dr": "doktor",
    },
    "tr": {"vb.": "ve benzeri", "örn.": "örneğin", "Dr.": "doktor", "Prof.": "profesör"},
    "ru": {
        **{"т. е.": "то есть", "и т. д.": "и так далее", "и т. п.": "и тому подобное", "тыс.": "тысяч", "ул.": "улица"},
        **{"млн": "миллионов", "млрд": "миллиардов", "руб.": "рублей", "г-н": "господин", "г-жа": "госпожа"},
    },
    "hi": {
        **{"डॉ.": "डॉक्टर", "प्रो.": "प्रोफ़ेसर", "रु.": "रुपये", "कि.मी.": "किलोमीटर", "श्री.": "श्री"},
    },
    "ar": {"د.": "دكتور", "أ.": "أستاذ"},
}

_GERMAN = (
    *("nullte", "erste", "zweite", "dritte", "vierte", "fünfte", "sechste", "siebte", "achte", "neunte", "zehnte"),
    *("elfte", "zwölfte", "dreizehnte", "vierzehnte", "fünfzehnte", "sechzehnte", "siebzehnte", "achtzehnte"),
    "neunzehnte",
)
_GERMAN_ONES = ("", "einund", "zweiund", "dreiund", "vierund", "fünfund", "sechsund", "siebenund", "achtund", "neunund")
_THAI = ("ศูนย์", "หนึ่ง", "สอง", "สาม", "สี่", "ห้า", "หก", "เจ็ด", "แปด", "เก้า")
_THAI_PLACES = ("", "สิบ", "ร้อย", "พัน", "หมื่น", "แสน")


def german_ordinal(number: int) -> str:
    """1 … 31 without its last letter: "erste", to which r or n is added."""
    return (
        _GERMAN[number] if number < 20 else _GERMAN_ONES[number % 10] + ("zwanzigste", "dreißigste")[number // 10 - 2]
    )


def thai_number(digits: str) -> str:
    """A whole number in Thai words; from a million on the count of millions comes first."""
    value = int(digits)
    if value == 0:
        return _THAI[0]
    if value >= 1_000_000:
        rest = value % 1_000_000
        return thai_number(str(value // 1_000_000)) + "ล้าน" + (thai_number(str(rest)) if rest else "")
    said, places = "", len(str(value))
    for place, digit in zip(range(places - 1, -1, -1), map(int, str(value)), strict=True):
        if digit:
            name = "" if place == 1 and digit == 1 else "ยี่" if place == 1 and digit == 2 else _THAI[digit]
            said += ("เอ็ด" if place == 0 and digit == 1 and places > 1 else name) + _THAI_PLACES[place]
    return said
