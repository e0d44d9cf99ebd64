"""axe-core on every page, in both themes, wide and narrow."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from cloneai.tests.browser.conftest import Product
from cloneai.tests.browser.furnishing import Place, furnish

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS = {"resultTypes": ["violations"], "runOnly": {"type": "tag", "values": TAGS}}
OPENED_BY = {"conversation": "a.cite >> nth=0", "sessions": ".session-row summary >> nth=0"}


@pytest.fixture(scope="session")
def places(product: Product) -> list[Place]:
    return furnish(product)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
@pytest.mark.parametrize("person", ["", "member", "expert", "reviewer"])
def test_axe_finds_nothing_serious(
    person: str,
    scheme: str,
    width: int,
    product: Product,
    places: list[Place],
    open_page: Callable[..., Page],
    signed_in: Callable[..., dict[str, Any]],
) -> None:
    page = open_page(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        reduced_motion="reduce",
        storage_state=signed_in(product, person) if person else None,
    )
    found = []
    for place in (place for place in places if place.person == person):
        page.goto(product.url + place.path)
        found += find_problems(page, name=place.name)
        if place.name in OPENED_BY:
            page.click(OPENED_BY[place.name])
            page.wait_for_timeout(300)
            found += find_problems(page, name=f"{place.name}, opened")
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"{place.name}: scrolls sideways")
    open_page.problems[:] = [  # type: ignore[attr-defined]
        text
        for text in open_page.problems  # type: ignore[attr-defined]
        if "status of 404" not in text
    ]
    assert not found, "\n".join(found)


def find_problems(page: Page, *, name: str) -> list[str]:
    """The serious and critical ones, with the markup that they are about."""
    results = Axe().run(page, options=OPTIONS)
    return [
        f"{name}: {problem['id']} ({problem['impact']}): {problem['help']}: {node['html'][:150]}"
        f" {[check['message'] for check in node['any'] + node['all'] + node['none']][:1]}"
        for problem in results.response["violations"]
        if problem["impact"] in ("serious", "critical")
        for node in problem["nodes"]
        if "partially obscured" not in str(node["any"])  # what is scrolled halfway behind the composer
    ]
