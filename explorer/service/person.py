"""Questions that a person waits for: indexing steps back until they are answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from explorer.index.pace import Pace


class Paced(Protocol):
    """Something that answers, and knows the pace of indexing."""

    pace: Pace


S = TypeVar("S", bound=Paced)
P = ParamSpec("P")
R = TypeVar("R")


def for_a_person(answer: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """The same method, with indexing told that someone waits."""

    @wraps(answer)
    def answered(part: S, *given: P.args, **named: P.kwargs) -> R:
        with part.pace.person():
            return answer(part, *given, **named)

    return answered
