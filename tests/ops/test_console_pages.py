"""The console's list of past calls, page by page."""

import re
from html import unescape
from pathlib import Path

from bridge.core.ids import CallId
from bridge.ops.console.views import PAGE
from bridge.store.traces.file import TraceFile
from bridge.store.traces.rows import TracedCall
from tests.ops.console_house import BEGUN, StageDesk, browsing, serving


async def test_older_calls_follow_to_the_last_one_each_once(tmp_path: Path) -> None:
    names = [f"call-{number:03}" for number in range(2 * PAGE + 1)]
    file = TraceFile(tmp_path / "traces")
    begun = [
        TracedCall(call_id=CallId(name), began_at=BEGUN + number // 3, direction="inbound")
        for number, name in enumerate(names)
    ]
    file.write(calls=begun)
    file.close()
    found, page = list[str](), "/console/calls?direction=inbound"
    async with serving(StageDesk(), tmp_path / "traces") as address, browsing(address) as browser:
        await browser.log_in()
        while page:
            _, text = await browser.get(page)
            found += re.findall(r'/console/calls/(call-\d+)"', text)
            older = re.search(r'rel="next" href="([^"]+)"', text)
            page = unescape(older[1]) if older else ""
        assert found == names[::-1]
        assert names[-1] in (await browser.get("/console/calls?before=nonsense"))[1]
