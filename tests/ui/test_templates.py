"""No value gets through a template unescaped: every template is drawn with hostile values, and none turns escaping off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError, meta, nodes

from explorer.ui import render
from explorer.ui.render import ENVIRONMENT

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}${alert(3)}\u202e\x00"
TEMPLATES = sorted(ENVIRONMENT.list_templates(extensions=["html"]))
FOLDER = Path(render.__file__).parent / "templates"


class Hostile(str):
    """Text that answers to everything a template may ask of a value: a record, a list of two, a mapping, a number."""

    def __getattribute__(self, name: str) -> Any:
        return str.__getattribute__(self, name) if name.startswith("_") or hasattr(str, name) else self

    def __getitem__(self, key: Any) -> Any:
        return self

    def __iter__(self) -> Any:
        return iter((Hostile(HOSTILE), Hostile(HOSTILE)))

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        return self

    def __float__(self) -> float:
        return 1.0

    __int__ = __index__ = lambda self: 1
    __gt__ = __lt__ = __ge__ = __le__ = lambda self, other: True
    __mul__ = __rmul__ = __sub__ = __rsub__ = __truediv__ = __rtruediv__ = lambda self, other: 1.0


class Found(HTMLParser):
    """The elements and attributes that a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_every_template_is_known_to_the_environment() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.html")) == TEMPLATES and len(TEMPLATES) > 10


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_turns_the_escaping_off(name: str) -> None:
    tree = ENVIRONMENT.parse((FOLDER / name).read_text("utf-8"))
    assert not {one.name for one in tree.find_all(nodes.Filter)} & {"safe", "forceescape", "tojson", "xmlattr"}
    assert not list(tree.find_all((nodes.EvalContextModifier, nodes.ScopedEvalContextModifier, nodes.MarkSafe)))


@pytest.mark.parametrize("name", TEMPLATES)
def test_attributes_stand_in_quotes_and_no_value_becomes_a_script(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    bare = re.findall(r"=\s*\{\{[^}]*\}\}", text)
    assert not bare, f"{name}: an attribute without quotes: {bare}"
    assert not re.search(r"<script|\son\w+=|href=|javascript:", text), f"{name} names a script or a link"
    values = re.findall(r'\b(?:src|style)="([^"]*)"', text)
    assert all("{{" not in value or re.match(r"\{\{ still\(|(width|left):", value) for value in values), values


def names_of(template: str) -> set[str]:
    """What a template asks for."""
    tree = ENVIRONMENT.parse((FOLDER / template).read_text("utf-8"))
    return meta.find_undeclared_variables(tree) - {*ENVIRONMENT.globals}


@pytest.fixture
def hostile_formats(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Filters and functions of the environment answer with hostile text; what was compiled with them is forgotten."""
    for name in ("span", "count", "middle", "still"):
        monkeypatch.setitem(ENVIRONMENT.globals, name, lambda *_: HOSTILE)
    for name in ("basename", "clock", "date", "day", "duration", "size"):
        monkeypatch.setitem(ENVIRONMENT.filters, name, lambda *_: HOSTILE)
    assert ENVIRONMENT.cache is not None
    ENVIRONMENT.cache.clear()
    yield
    ENVIRONMENT.cache.clear()


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.usefixtures("hostile_formats")
def test_a_hostile_value_stays_text_in_every_template(name: str) -> None:
    shown = render.render(name.removesuffix(".html"), **dict.fromkeys(names_of(name), Hostile(HOSTILE)))
    found = Found(shown)
    assert "script" not in found.tags and not {one for one in found.attributes if one.startswith("on")}, name
    assert "\u202e" not in shown and "\x00" not in shown
    if names_of(name):
        assert "&lt;script&gt;" in shown, f"{name} shows none of its values: this test proves nothing of it"


def test_a_name_that_was_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render.render("notice", message="a", kind="info")
