"""Turns a template and its values into HTML: one Jinja2 environment in which every value is escaped."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from explorer.ui.present import basename, clock, count, date, day, length, middle, size, span, still, visible


def shown_value(value: object) -> object:
    """A value as a template writes it: text without odd bytes or marks that change its direction, markup as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


ENVIRONMENT = Environment(
    loader=PackageLoader("explorer.ui", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=shown_value,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(basename=basename, clock=clock, date=date, day=day, duration=length, size=size)
ENVIRONMENT.globals.update(count=count, middle=middle, span=span, still=still)


def render(template: str, **values: object) -> Markup:
    """The HTML of a template with these values, each escaped where it is written.

    Args:
        template: its name in explorer/ui/templates, without the ending.
        values: what the template names; one that it names and that is not given is an error.

    Raises:
        jinja2.UndefinedError: a name of the template was not given.
        jinja2.TemplateNotFound: there is no such template.

    Example:
        >>> render("notice", message="<b>", kind="warn", hint="").count("&lt;b&gt;")
        1
    """
    return Markup(ENVIRONMENT.get_template(f"{template}.html").render(values).strip())


def notice(message: str, *, kind: str = "info", hint: str = "") -> Markup:
    """One sentence about what happened, and what to do next. kind: info, warn, error or busy."""
    return render("notice", message=message, kind=kind, hint=hint)
