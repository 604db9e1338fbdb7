"""One homeserver, one bridge and the browsers for all end-to-end tests; logs of every process with a failure."""

from collections.abc import AsyncIterator, Generator

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests.e2e.lab import Lab, open_lab
from tests.e2e.page import build_page, served


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """Everything that is slow to start, once."""
    directory = tmp_path_factory.mktemp("e2e")
    page = await build_page(directory / "page")
    async with (
        served(page) as page_url,
        async_playwright() as playwright,
        open_lab(directory, playwright, page_url) as lab,
    ):
        yield lab


@pytest_asyncio.fixture(loop_scope="session")
async def lab(shared_lab: Lab) -> AsyncIterator[Lab]:
    """The lab, swept for the next test; whatever a test did, the bridge must not have met a fault of its own."""
    shared_lab.begin_test()
    yield shared_lab
    await shared_lab.check_bridge()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what every process printed to the report of a failed test."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and isinstance(lab, Lab):
        report.sections.extend((f"log of {name}", text) for name, text in lab.logs() if text)
    return report
