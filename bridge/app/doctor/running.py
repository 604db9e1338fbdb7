"""Whether the bridge of a configuration runs, and what it says of itself on its ops port."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from bridge.app.doctor.bodies import bounded_body
from bridge.app.doctor.findings import Finding, fault, ok
from bridge.config.values import Address

LIMIT_S = 5.0
_OWN_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (compared, not bound)
"""Where a listener on every address is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a running bridge says."""

    checks: Mapping[str, bool]
    reasons: Mapping[str, str]
    """Why a check that failed did so."""
    trunks_up: Mapping[str, bool]

    def findings(self) -> Iterator[Finding]:
        """One line for the whole bridge, or one for each thing that keeps it from work."""
        failed = [name for name, passed in self.checks.items() if not passed]
        if not failed:
            yield ok("bridge", "runs and takes calls")
        for name in failed:
            yield fault("bridge", f"runs, but {name}: {self.reasons.get(name, 'no')}", "its log says more")


async def ask_bridge(address: Address) -> Running | Finding | None:
    """What the bridge says; `None` when nothing listens there, a finding when it is something else that does."""
    if address.port == 0:
        return None
    base = base_url(address)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as session:
            health = await _read(session, base / "readyz")
            metrics = await _read(session, base / "metrics")
            return _understood(health, metrics.decode(errors="replace"))
    except aiohttp.ClientConnectorError:
        return None
    except (aiohttp.ClientError, TimeoutError, ValueError):
        seen = f"something on {base.host}:{address.port} answers, but not as a bridge would"
        return fault("ops.listen", seen, "end that program, or choose another port")


def base_url(address: Address) -> URL:
    """Where the ops port of a bridge on this machine is asked."""
    return URL.build(scheme="http", host=_OWN_HOSTS.get(address.host, address.host), port=address.port)


async def _read(session: aiohttp.ClientSession, url: URL) -> bytes:
    async with session.get(url) as answer:
        return await bounded_body(answer)


def _understood(health: bytes, metrics: str) -> Running:
    """Raises `ValueError` for what no bridge says."""
    document = _object(health)
    checks = document.get("checks")
    if not isinstance(checks, Mapping) or "trunkline_build_info" not in metrics:
        raise ValueError("no bridge")
    reasons = document.get("reasons")
    return Running(
        checks={str(name): passed is True for name, passed in checks.items()},
        reasons={str(name): str(why) for name, why in reasons.items()} if isinstance(reasons, Mapping) else {},
        trunks_up={
            sample.labels.get("trunk", ""): sample.value == 1
            for family in text_string_to_metric_families(metrics)
            if family.name == "trunkline_trunk_up"
            for sample in family.samples
        },
    )


def _object(body: bytes) -> Mapping[str, Any]:
    document = json.loads(body)
    if not isinstance(document, Mapping):
        raise ValueError("no object")
    return document
