"""One running server for the tests of the web side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.site import Site, running


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as found:
        yield found
