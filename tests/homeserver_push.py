"""What a homeserver asks an application service."""

import io
import json
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL


class AppserviceClient:
    """Requests to the application service at `appservice_url`, once `open_session` has been called."""

    def __init__(self, hs_token: str) -> None:
        self.hs_token = hs_token
        self.appservice_url = ""
        self.transactions: list[tuple[str, bytes]] = []
        """Every acknowledged transaction, for replays."""

    def open_session(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))

    async def close_session(self) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, body: bytes | None = None, token: str | None = None) -> tuple[int, Any]:
        """One request to the application service, `path` percent-encoded: status and JSON."""
        headers = {"Authorization": f"Bearer {self.hs_token if token is None else token}"}
        url = URL(self.appservice_url + path, encoded=True)
        data = None if body is None else io.BytesIO(body)
        async with self._session.request(method, url, data=data, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def lookup(self, typed: str, protocol: str = "m.protocol.pstn") -> Any:
        """What the dial pad of a client gets for the text that was typed."""
        path = f"/_matrix/app/v1/thirdparty/user/{protocol}?m.id.phone={quote(typed, safe='')}"
        return (await self.ask("GET", path))[1]

    async def replay(self, index: int = -1) -> int:
        """Push an acknowledged transaction once more."""
        txn_id, body = self.transactions[index]
        return (await self.ask("PUT", f"/_matrix/app/v1/transactions/{txn_id}", body))[0]

    async def push_raw(self, txn_id: str, body: object) -> int:
        """Push a transaction of one's own making, outside the queue."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return (await self.ask("PUT", f"/_matrix/app/v1/transactions/{quote(txn_id, safe='')}", data))[0]
