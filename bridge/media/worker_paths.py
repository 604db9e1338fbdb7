"""The workers that carry the packets of all calls, and the paths of the calls on them."""

import abc
import asyncio
import os
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from bridge.core.telemetry import Telemetry
from bridge.media import opus
from bridge.media.path import PathNeeds
from bridge.media.ports import PortPair
from bridge.media.sounds import CodedSound
from bridge.media.verdicts import unavailable
from bridge.media.worker_path import WorkerPath

if TYPE_CHECKING:
    import trunkline_native

_log = structlog.get_logger()


class WorkerPaths(abc.ABC):
    """Implements :class:`bridge.media.path.PacketPaths`."""

    name: ClassVar[str]

    def __init__(self, module: Any, workers: int = 0) -> None:
        """`module` has the workers' `Engine`; there are as many as this process may use cores if `workers` is 0."""
        self._module = module
        self._workers = workers or len(os.sched_getaffinity(0))
        self._engine: trunkline_native.Engine | None = None
        self._telemetry: Telemetry | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: dict[int, WorkerPath] = {}

    def start(self, telemetry: Telemetry) -> None:
        self._engine = engine = self._module.Engine(threads=self._workers, opus=opus.path())
        if not engine.has_opus:
            raise unavailable("the packet workers cannot load libopus")
        self._telemetry, self._loop = telemetry, asyncio.get_running_loop()
        self._loop.add_reader(engine.fileno(), self._collect)

    @property
    def engine(self) -> Any:
        """The workers; what they can be asked is in `trunkline_native.pyi`."""
        if self._engine is None:
            raise unavailable("the packet path is not started")
        return self._engine

    @abc.abstractmethod
    def make(self, needs: PathNeeds) -> WorkerPath: ...

    @abc.abstractmethod
    def shared(self, sound: CodedSound) -> Any:
        """A sound in the workers' own form, made once for all calls that play it."""

    def open_call(
        self,
        path: WorkerPath,
        pair: PortPair,
        needs: PathNeeds,
        cname: str,
        begins: tuple[tuple[int, int, int], tuple[int, int, int]],
    ) -> "trunkline_native.NativeCall":
        """Give a call's sockets, which are duplicated, to a worker."""
        call: trunkline_native.NativeCall = self.engine.open(
            rtp=pair.rtp.fileno(),
            rtcp=pair.rtcp.fileno(),
            trusted=[(str(network.network_address), network.prefixlen) for network in needs.trusted],
            to_matrix=begins[0],
            to_sip=begins[1],
            cname=cname,
            signals_digits=needs.signal_digit is not None,
        )
        self._calls[call.number] = path
        return call

    def close_call(self, call: "trunkline_native.NativeCall") -> None:
        """Free the sockets of a call, and expect nothing of it any more."""
        call.close()
        self._calls.pop(call.number, None)

    def _collect(self) -> None:
        """What the workers have for us; each in a step of its own, for a fault in one is not the others' fault."""
        if self._engine is None or self._loop is None:
            return
        datagrams, news = self._engine.collect()
        for number, socket, datagram, source in datagrams:
            path = self._calls.get(number)
            if path is not None:
                self._loop.call_soon(path.take_back, socket, datagram, source)
        for number, kind, value, duration_ms in news:
            path = self._calls.get(number)
            if path is not None:
                self._loop.call_soon(path.happened, kind, value, duration_ms)

    def look_after(self) -> None:
        if self._engine is None or self._telemetry is None:
            return
        faults = self._engine.take_faults()
        if faults:
            self._telemetry.count("internal_errors_total", faults, component="media")
            _log.error("packet_path_failed", path=self.name, faults=faults)

    def stop(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None and self._loop is not None:
            self._loop.remove_reader(engine.fileno())
            engine.stop()
