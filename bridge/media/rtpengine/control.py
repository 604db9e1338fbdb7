"""One call on one server: the commands for it, and the choice of the server with the first of them."""

from collections.abc import Mapping

import structlog

from bridge.core.telemetry import Telemetry
from bridge.media.rtpengine.bencode import Value
from bridge.media.rtpengine.commands import Flags
from bridge.media.rtpengine.descriptions import Opened, read_opened
from bridge.media.rtpengine.ng import NgError, Reply, ServerFullError, ServerRefusedError, ServerSilentError
from bridge.media.rtpengine.servers import Fleet, Server
from bridge.media.sdp import SdpError
from bridge.media.verdicts import exhausted, unavailable

_log = structlog.get_logger()


class CallControl:
    """A call stays on the server that took it: its ports and keys are there."""

    def __init__(self, key: str, fleet: Fleet, telemetry: Telemetry, *, learns_sources: bool) -> None:
        self.key = key
        self._learning: Flags = {"endpoint-learning": ["heuristic" if learns_sources else "off"]}
        """Whether packets may come from elsewhere than was announced: a server asks nobody who they are, for three
        seconds after each description."""
        self.server: Server | None = None
        self._fleet, self._telemetry = fleet, telemetry
        self._lost_before = 0

    @property
    def is_lost(self) -> bool:
        """Whether the server was given up since the call began there."""
        return self.server is not None and self.server.lost != self._lost_before

    async def offer(self, speaker: str, listener: str, sdp: str, flags: Flags) -> Opened:
        """Tell what one party offers; what was opened for the other one. Raises :class:`MediaError`."""
        arguments = {**flags, **self._learning, "from-tag": speaker, "to-tag": listener, "sdp": sdp}
        reply = await (self._place(arguments) if self.server is None else self.ask("offer", arguments))
        return _opened(reply)

    async def answer(self, offerer: str, answerer: str, sdp: str, flags: Flags) -> Opened:
        """Tell what the other party answers; what was opened for the one that had offered."""
        arguments = {**flags, **self._learning, "from-tag": offerer, "to-tag": answerer, "sdp": sdp}
        return _opened(await self.ask("answer", arguments))

    async def ask(self, command: str, arguments: Mapping[str, Value] | None = None) -> Reply:
        """Any command on this call. Raises :class:`MediaError`."""
        if self.server is None:
            raise unavailable(f"{command}: the call is on no server")
        try:
            return await self._request(self.server, command, arguments or {})
        except NgError as error:
            raise unavailable(str(error)) from error

    async def query(self) -> Reply | None:
        """The server's numbers; `None` when it does not answer now.

        Raises :class:`bridge.media.rtpengine.ng.ServerRefusedError` when it does not know the call.
        """
        if self.server is None or not self.server.alive:
            return None
        try:
            return await self._request(self.server, "query", {})
        except ServerSilentError:
            return None

    async def delete(self) -> None:
        """End the call on its server, if need be when that is back."""
        server, self.server = self.server, None
        if server is None:
            return
        server.sessions -= 1
        self._fleet.count()
        try:
            if server.alive:
                await self._request(server, "delete", {"delete-delay": 0})
            else:
                server.owed.append(self.key)
        except ServerSilentError:
            server.owed.append(self.key)
        except NgError as error:
            _log.info("media_delete_refused", server=server.label, error=str(error))

    async def _place(self, arguments: Mapping[str, Value]) -> Reply:
        """The first offer: the least busy server takes it, or else the next."""
        full = False
        for server in self._fleet.in_order():
            server.settle(self.key)
            try:
                reply = await self._request(server, "offer", arguments)
            except (ServerFullError, ServerSilentError) as error:
                full = full or isinstance(error, ServerFullError)
                if isinstance(error, ServerSilentError):
                    # It may be that the answer alone was lost, and the call's ports are open there.
                    server.owed.append(self.key)
                _log.info("media_server_passed_over", server=server.label, error=str(error))
                continue
            except ServerRefusedError as error:
                raise unavailable(str(error)) from error
            self.server, self._lost_before = server, server.lost
            server.sessions += 1
            self._fleet.count()
            return reply
        raise exhausted("every server is full") if full else unavailable("no server answers")

    async def _request(self, server: Server, command: str, arguments: Mapping[str, Value]) -> Reply:
        result = "ok"
        try:
            reply = await server.client.request(command, **{"call-id": self.key, **arguments})
            self._fleet.answered(server)
        except ServerSilentError as error:
            result = "silent"
            self._fleet.missed(server, error)
            raise
        except NgError as error:
            result = "full" if isinstance(error, ServerFullError) else "refused"
            raise
        finally:
            self._telemetry.count("media_server_requests_total", server=server.label, result=result)
        return reply


def _opened(reply: Reply) -> Opened:
    text = reply.get("sdp")
    try:
        return read_opened(text.decode() if isinstance(text, bytes) else "")
    except (SdpError, UnicodeDecodeError) as error:
        raise unavailable(f"a server's description cannot be read: {error}") from error
