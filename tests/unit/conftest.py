from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.site import DRIVERS, Driver, Site


@pytest.fixture(params=DRIVERS)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site over each kind of store, with the options of ``@pytest.mark.options(...)``."""
    driver: Driver = request.param
    mark = request.node.get_closest_marker("options")
    site = Site(driver, **(mark.kwargs if mark else {}))
    yield site
    site.close()
