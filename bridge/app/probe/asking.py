"""Asks a running bridge for a test call, as `trunkline call-test` does."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict

import aiohttp

from bridge.app.doctor.running import base_url
from bridge.config import Config
from bridge.core.errors import TrunklineError
from bridge.ops.test_calls.report import Step, TestReport, TestWish
from bridge.ops.test_calls.routes import PATH

_SILENCE_S = 30.0
"""A bridge that lives says something every second."""


class AskError(TrunklineError):
    """No test call could be asked for; the text says why, and what to do."""


async def ask(config: Config, wish: TestWish) -> AsyncIterator[Step | TestReport]:
    """The steps of a call while they happen, and its report at the end. Raises :class:`AskError`."""
    token = config.ops.console.token.get_secret_value()
    if not token:
        raise AskError("ops.console.token is not set: with it the running bridge knows who may ask for a test call")
    if not config.ops.listen.port:
        raise AskError("ops.listen has port 0: nobody knows where the running bridge listens")
    url = base_url(config.ops.listen) / PATH.removeprefix("/")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=_SILENCE_S)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.post(url, json=asdict(wish)) as answer,
        ):
            if answer.status != 200:
                raise AskError(await _refusal(answer))
            async for line in answer.content:
                if line.strip():
                    yield _read(line)
    except aiohttp.ClientConnectorError:
        raise AskError(f"no bridge listens at {url.host}:{url.port} (ops.listen): is it running?") from None
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise AskError(f"the bridge gave no answer that can be understood: {type(error).__name__}") from error


async def _refusal(answer: aiohttp.ClientResponse) -> str:
    words = {404: "the running bridge takes no test calls: restart it with this configuration"}.get(answer.status)
    if words is not None:
        return words
    document = await answer.json(content_type=None)
    return str(document["problem"])


def _read(line: bytes) -> Step | TestReport:
    document = json.loads(line)
    if "step" in document:
        return Step(**document["step"])
    if "problem" in document:
        raise AskError(str(document["problem"]))
    return TestReport.from_document(document["report"])
