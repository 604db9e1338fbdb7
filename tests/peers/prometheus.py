"""Prometheus, which scrapes a bridge and answers queries, and promtool (Debian package `prometheus`)."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.e2e.waiting import until
from tests.peers.process import LOOPBACK, READY_LIMIT_S, PeerProcess, free_port, port_is_bound

_LIMIT_S = 60
_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10)


def promtool(*arguments: str | Path) -> None:
    """Run promtool; what it complains about fails the test."""
    command = ("promtool", *map(str, arguments))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


class Prometheus(PeerProcess):
    """A server that scrapes one port as the job `trunkline`, and evaluates rules, four times a second."""

    def __init__(self, directory: Path, *, scraped_port: int, rules: Path) -> None:
        super().__init__("prometheus", directory)
        self.port = free_port()
        self._scraped_port = scraped_port
        self._rules = rules.absolute()

    async def start(self) -> None:
        config = self.directory / "prometheus.yml"
        jobs = [{"job_name": "trunkline", "static_configs": [{"targets": [f"{LOOPBACK}:{self._scraped_port}"]}]}]
        times = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), "250ms")
        document = {"global": times, "rule_files": [str(self._rules)], "scrape_configs": jobs}
        config.write_text(yaml.safe_dump(document))
        await self.launch(
            (
                *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.directory / 'prometheus'}"),
                f"--web.listen-address={LOOPBACK}:{self.port}",
            )
        )
        await self.wait_until(lambda: port_is_bound(self.port, "tcp"))
        await until(self._is_ready, lambda: f"not ready:\n{self.log_tail()}", limit_s=READY_LIMIT_S)

    async def _is_ready(self) -> bool:
        async with (
            aiohttp.ClientSession(f"http://{LOOPBACK}:{self.port}", timeout=_REQUEST_TIMEOUT) as session,
            session.get("/-/ready") as answer,
        ):
            return answer.status == 200

    async def query(self, expression: str, *, at: float | None = None) -> list[tuple[Mapping[str, str], float]]:
        """The labels and values of an instant query, now or at a moment (seconds since 1970)."""
        parameters = {"query": expression, **({} if at is None else {"time": f"{at:.3f}"})}
        async with (
            aiohttp.ClientSession(f"http://{LOOPBACK}:{self.port}", timeout=_REQUEST_TIMEOUT) as session,
            session.post("/api/v1/query", data=parameters) as answer,
        ):
            document: dict[str, Any] = await answer.json()
        if document["status"] != "success":
            raise AssertionError(f"{expression}: {document}")
        return [(row["metric"], float(row["value"][1])) for row in document["data"]["result"]]
