"""Tells what a text is written in, where that is not English: a script, a language of Latin letters, or an emoji."""

from __future__ import annotations

import re
import unicodedata

SCRIPTS = {  # first word of a letter's Unicode name -> what a person calls it
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
    "CJK": "Chinese characters",
    "CYRILLIC": "Cyrillic letters",
    "GREEK": "Greek letters",
    "ARABIC": "Arabic letters",
    "HEBREW": "Hebrew letters",
    "DEVANAGARI": "Devanagari letters",
    "BENGALI": "Bengali letters",
    "TAMIL": "Tamil letters",
    "TELUGU": "Telugu letters",
    "THAI": "Thai letters",
    "GEORGIAN": "Georgian letters",
    "ARMENIAN": "Armenian letters",
}
# Words that stand in nearly every sentence of a language and in none of English; a detector of a megabyte knows little
# more of three words. Those that English borrows, or two languages share, count half.
FUNCTION_WORDS = {
    "German": "der das und ist ein eine einen einem einer im am mit auf nicht ohne oder von zum zur für über hund frau",
    "French": "le les des une un et est dans avec sans ou sur qui du au aux pas pour chien homme femme",
    "Spanish": "el los las una y es con sin que del por para perro hombre mujer niño niña",
    "Italian": "il gli una che di nella nel sulla sul senza della dello con cane uomo donna spiaggia",
    "Portuguese": "os uma um com sem na nos nas que em não para cachorro homem mulher praia",
    "Dutch": "het een en op met zonder van niet voor naar hond vrouw meisje jongen",
    "Polish": "i na z bez nie jest się w ze po pies kobieta mężczyzna",
    "Turkish": "bir ve ile için köpek kadın adam değil üzerinde",
    "Swedish": "och ett en är på med utan inte hund kvinna som",
}
HALF = frozenset(
    "un una en i z w na y es am das por do con le el que est des pies adam di com em is most bir las et".split()
)
ENGLISH = frozenset(
    "the a an is are of and in on at with without to from by for no not or his her their that this it".split()
)
ENOUGH = 1.0  # of counted words, from which a language is named


def foreign(text: str) -> str:
    """What a text is written in, as it follows "these words are in"; "" for English and for what cannot be told.

    >>> foreign("ein Hund im Schnee"), foreign("собака на пляже"), foreign("a dog in snow")
    ('German', 'Cyrillic letters', '')
    """
    letters = [character for character in text if character.isalpha()]
    names = {unicodedata.name(letter, "").split(" ")[0].split("-")[0] for letter in letters if ord(letter) > 0x24F}
    scripts = [called for name, called in SCRIPTS.items() if name in names]
    return scripts[0] if scripts else _latin_language(text)


def _latin_language(text: str) -> str:
    words = set(re.findall(r"[^\W\d_]+", text.lower()))
    if len(words & ENGLISH) > 1:
        return ""
    counts = {
        language: sum(0.5 if word in HALF else 1.0 for word in words & set(listed.split()))
        for language, listed in FUNCTION_WORDS.items()
    }
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] >= ENOUGH and counts[best] > len(words & ENGLISH) else ""


def emoji(text: str) -> str:
    """The first picture sign of a text in words; "" where there is none.

    >>> emoji("a \\U0001f415 in snow"), emoji("50 % ©")
    ('dog', '')
    """
    signs = [c for c in text if ord(c) >= 0x2600 and unicodedata.category(c) == "So"]
    return unicodedata.name(signs[0], "a picture sign").lower() if signs else ""
