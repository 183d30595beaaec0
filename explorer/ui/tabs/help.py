"""The Help tab: keys, query language, what the numbers mean, privacy, limits."""

from __future__ import annotations

from explorer import __version__
from explorer.ui import components
from explorer.ui.render import render

KEYS = (
    ("/", "search box"),
    ("← → ↑ ↓", "move over the results; ↓ also leaves the search box"),
    ("Enter", "open the result"),
    ("Space or K", "play, pause"),
    ("J and L", "5 seconds back, on"),
    (", and .", "one frame back, on"),
    ("[ and ]", "previous, next moment"),
    ("Esc", "leave the search box"),
    ("?", "this help"),
)
WORDS = (
    ("a man walks a dog in snow", "a sentence; its phrases are found by themselves"),
    ('"red car"', "a phrase of your own"),
    ('"red car"^2', "counts double; ^0 switches it off"),
    ('-"night"', "moments that look like this are left out"),
    ("a beach without people", "the same, read from plain English; in quotes it is words"),
    ("a dog or a cat in snow", "the best of both; dog | cat parts the whole text"),
    ("in:trips", "only files whose folder or name holds this"),
    ("file:IMG_2034", "only files whose name holds this; a whole file name alone does the same"),
    ("after:2023  before:2024-06", "by the day of recording: as the file says, else a date in its name, else its time"),
    ('on:2023-07-04  after:"last summer"', "days in words, in any language"),
    ("longer:60  shorter:600", "by the length of the file, in seconds"),
)
NUMBERS = (
    (
        "sentence, phrases, words",
        "the three levels: the whole moment against the sentence, its clips against the phrases, "
        "its frames against the words. A bar shows how unusual the match is among unrelated captions; "
        "hover for the similarity itself.",
    ),
    (
        "total",
        "the mean of the three levels, weighted by the sliders; it orders the results. "
        "Compare totals within one search only.",
    ),
    (
        "strong, likely, weak",
        "how far a moment stands out from the best that unrelated words of the same kind find in this library. "
        "Weak is what chance gives, and is folded away; hover for the number behind the word.",
    ),
    (
        "actions, entities",
        "what a role-graph model (HGR) looks for in the place of phrases and words: the verbs, and who and what "
        "takes part",
    ),
    (
        "you said: right, wrong",
        "your thumbs. For the same words, filters aside, what you called right comes first and what you called wrong "
        "last, until you undo it; your last word about a moment counts",
    ),
    ("✓ and ✕", "whether a phrase stands out in its best clip from what unrelated phrases reach"),
    ("nothing here looks like …", "every moment is weak; the nearest are shown all the same"),
    ("R@1, R@5, R@10", "of all test sentences, the share whose video came first, among five, among ten"),
)
PRIVACY = (
    "Videos, pictures, words and models stay on this machine. The page is served to this machine alone, "
    "nothing is reported, and "
    "nothing is downloaded unless you agree to a shown size. Your video folders are only read. "
    "Index, pictures of moments, captions "
    "and exports are written to one data folder, which the Models tab names."
)
LIMITS = (
    "One frame a second is looked at, so what lasts less can be missed.",
    "Sound and text on the screen are not read.",
    "The starter model learned from photographs: it is better at things and scenes than at actions and their order.",
    "A search always finds something; a moment called weak is what chance gives.",
    "Formats a browser cannot play are converted once, in the background, into the data folder.",
)


def text() -> str:
    """The whole of the help, as HTML."""
    return render("help", keys=KEYS, words=WORDS, numbers=NUMBERS, privacy=PRIVACY, limits=LIMITS, version=__version__)


def build() -> None:
    """Lay the tab out."""
    components.static(text())
