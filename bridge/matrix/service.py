"""The Matrix side as a whole: what the application sees of it."""

import asyncio

import structlog

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.ids import E164, EventId, RoomId, UserId
from bridge.core.presence import PresenceState
from bridge.core.telemetry import Telemetry
from bridge.matrix.appservice import AppService, ListenError
from bridge.matrix.client import Client
from bridge.matrix.events import Json
from bridge.matrix.ghosts import GhostNames, Ghosts, NameOf
from bridge.matrix.link import HomeserverLink, RetryPolicy
from bridge.matrix.membership import Membership
from bridge.matrix.name_tags import NameTags
from bridge.matrix.pictures import PictureOf, Pictures
from bridge.matrix.pinger import Pinger
from bridge.matrix.portals import Portal, Portals
from bridge.matrix.presence import PresenceBook
from bridge.matrix.profiles import Profiles
from bridge.matrix.puppets import Puppets
from bridge.matrix.receiver import Handler, Receiver
from bridge.matrix.rooms import Rooms
from bridge.matrix.sender import Sender
from bridge.matrix.settings import MatrixSettings
from bridge.matrix.thirdparty import NoDirectory, NumberDirectory, ReadNumber, ThirdParty
from bridge.matrix.unsupported import Unsupported
from bridge.store import Store, StoreError

_log = structlog.get_logger()

_STOP_LIMIT_S = 5.0
"""In all; what has not been sent by then stays on disk."""
_PRUNE_INTERVAL_S = 3600.0


class MatrixService:
    """Events of rooms come in through the handler given to `start`, and go out through `send`.

    All methods that ask the homeserver raise :class:`bridge.matrix.link.MatrixError` when it does not cooperate.
    """

    def __init__(
        self,
        settings: MatrixSettings,
        *,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        telemetry: Telemetry,
        read_number: ReadNumber,
        directory: NumberDirectory | None = None,
        name_of: NameOf = lambda number: None,
        picture_of: PictureOf = lambda number: None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._link = HomeserverLink(settings, clock=clock, entropy=entropy, retry=retry or RetryPolicy())
        self._client = client = Client(self._link)
        self._names = GhostNames(settings)
        pictures = Pictures(client=client, picture_of=picture_of, default=settings.avatar)
        self._ghosts = ghosts = Ghosts(
            names=self._names, store=store, client=client, name_of=name_of, pictures=pictures
        )
        self._profiles = Profiles(names=self._names, store=store, client=client, clock=clock)
        self._presence = PresenceBook(names=self._names, store=store, client=client, clock=clock)
        self._rooms = Rooms(names=self._names, store=store, client=client)
        puppets = Puppets(settings, names=self._names, link=self._link, clock=clock, telemetry=telemetry)
        self._name_tags = NameTags(names=self._names, store=store, client=client)
        self._portals = Portals(
            ghosts=ghosts,
            rooms=self._rooms,
            puppets=puppets,
            name_tags=self._name_tags,
            store=store,
            client=client,
            clock=clock,
        )
        self._sender = Sender(store=store, client=client, ghosts=ghosts, clock=clock, telemetry=telemetry)
        unsupported = Unsupported(
            names=self._names, rooms=self._rooms, portals=self._portals, sender=self._sender, store=store
        )
        self._receiver = Receiver(
            hs_token=settings.hs_token,
            names=self._names,
            presence=self._presence,
            membership=Membership(
                ghosts=ghosts,
                rooms=self._rooms,
                unsupported=unsupported,
                store=store,
                client=client,
                telemetry=telemetry,
            ),
            store=store,
            clock=clock,
            telemetry=telemetry,
        )
        self._appservice = AppService(
            settings,
            receiver=self._receiver,
            third_party=ThirdParty(ghosts=ghosts, read_number=read_number, directory=directory or NoDirectory()),
            telemetry=telemetry,
        )
        self._pinger = Pinger(settings, client=client, clock=clock, entropy=entropy, telemetry=telemetry)
        self._running: asyncio.Task[None] | None = None
        self._failed = asyncio.Event()

    async def start(self, on_event: Handler) -> None:
        """Listen, work on what an earlier process left, and ask the homeserver to deliver.

        `on_event` gets every event that is not ours, in the order of its room. Does not need the homeserver to be
        there. Raises `ListenError` when the address to listen on cannot be had.
        """
        await self._sender.prepare()
        self._link.open()
        try:
            await self._appservice.start()
        except ListenError:
            await self._link.close()
            raise
        ready = asyncio.Event()
        self._running = asyncio.create_task(self._run(on_event, ready), name="matrix")
        await ready.wait()

    async def stop(self) -> None:
        """Take no more events, finish what is at work, send what waits; what cannot be sent stays on disk."""
        deadline = asyncio.get_running_loop().time() + _STOP_LIMIT_S
        await self._appservice.stop()
        if not self._failed.is_set():
            await self._finish_work(deadline)
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._link.close()

    async def _finish_work(self, deadline: float) -> None:
        """The events at work first, for they may send; they leave half of the time to what is to be sent."""
        remaining_s = deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(deadline - remaining_s / 2):
                await self._receiver.stop()
        except TimeoutError:
            _log.warning("matrix_events_abandoned")
        try:
            async with asyncio.timeout_at(deadline):
                await self._sender.stop()
        except TimeoutError:
            _log.warning("matrix_sends_left_on_disk")

    async def wait_failed(self) -> None:
        """Return when a bug has ended our work, and never otherwise: then the process should end and start anew.

        From then on no transaction is acknowledged, so that the homeserver keeps what comes, and nothing is sent.
        """
        await self._failed.wait()

    async def _run(self, on_event: Handler, ready: asyncio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._sender.start(group)
                self._receiver.start(group, on_event)
                group.create_task(self._pinger.run(), name="matrix-ping")
                group.create_task(self._prune_forever(), name="matrix-prune")
                ready.set()
        except Exception:
            # From here on `healthy` is false: nothing below may fail, so this is a bug to be seen at once.
            self._telemetry.count("internal_errors_total", component="matrix")
            _log.exception("matrix_failed")
            self._appservice.refuse_transactions()
            self._sender.abandon()
            self._failed.set()

    async def _prune_forever(self) -> None:
        while True:
            try:
                await self._store.prune(now=self._clock.wall())
            except StoreError as error:
                _log.warning("store_not_pruned", reason=str(error))
            await asyncio.sleep(_PRUNE_INTERVAL_S)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that we listen on."""
        return self._appservice.address

    @property
    def healthy(self) -> bool:
        """Whether the homeserver and we reached each other when that was last tried."""
        return self._running is not None and not self._running.done() and self._pinger.healthy

    async def send(
        self,
        *,
        room_id: RoomId,
        sender: UserId,
        event_type: str,
        content: Json,
        txn_id: str,
        give_up_after_s: float = 60.0,
    ) -> None:
        """Send an event as a ghost; returns when it is stored, from when on it survives a restart.

        `txn_id` must be unique for all time and all ghosts: sent again with the same id, nothing happens.
        """
        await self._sender.send(
            room_id=room_id,
            sender=sender,
            event_type=event_type,
            content=content,
            txn_id=txn_id,
            give_up_after_s=give_up_after_s,
        )

    async def send_and_wait(
        self,
        *,
        room_id: RoomId,
        sender: UserId,
        event_type: str,
        content: Json,
        txn_id: str,
        give_up_after_s: float = 60.0,
    ) -> EventId:
        """As `send`, but returns when the homeserver has accepted the event, or raises `MatrixError`."""
        return await self._sender.send_and_wait(
            room_id=room_id,
            sender=sender,
            event_type=event_type,
            content=content,
            txn_id=txn_id,
            give_up_after_s=give_up_after_s,
        )

    async def withdraw(self, txn_id: str) -> None:
        """Try to send an event no longer, now or in a later process; it may have got through all the same."""
        await self._sender.withdraw(txn_id)

    async def upload(self, content: bytes, kind: str, owner: UserId) -> str:
        """Have the homeserver keep a file in the name of a ghost; gives its `mxc:` URI."""
        return await self._client.upload(content, kind, owner)

    async def say_once(self, room_id: RoomId, topic: str) -> bool:
        """Whether something has not been said in a room yet; from now on it has."""
        return await self._store.notices.claim(room_id, topic)

    async def joined_members(self, room_id: RoomId) -> frozenset[UserId]:
        """Everybody in a room, ghosts included."""
        return await self._rooms.members(room_id)

    async def is_public(self, room_id: RoomId) -> bool:
        """Whether anybody may join a room."""
        return await self._rooms.is_public(room_id)

    async def display_name(self, user: UserId) -> str:
        """What a user is called, so that a phone can show it; empty when that cannot be found out at once."""
        return await self._profiles.display_name(user)

    async def presence(self, user: UserId) -> PresenceState | None:
        """Whether a user is there; `None` when that cannot be found out at once."""
        return await self._presence.state(user)

    async def show_presence(self, number: E164, state: PresenceState, text: str) -> None:
        """Show the ghost of a number as present or not, with a word on what it does."""
        ghost = self._names.ghost_id(number)
        await self._ghosts.ensure(ghost)
        await self._client.set_presence(ghost, state, text)

    async def is_encrypted(self, room_id: RoomId) -> bool:
        """Whether the messages of a room cannot be read."""
        return await self._rooms.is_encrypted(room_id)

    async def known_ghost(self, number: E164) -> UserId | None:
        """The ghost of a number, if it has been made and can be found out at once."""
        ghost = self._names.ghost_id(number)
        try:
            return ghost if await self._store.ghosts.get(ghost) is not None else None
        except StoreError:
            return None

    async def portal(self, *, user: UserId, number: E164, caller_name: str = "") -> Portal:
        """The room in which the ghost of `number` can call `user`, made when there is none.

        `caller_name` is what the telephone network calls the caller, if anything.
        """
        return await self._portals.portal(user=user, ghost=self._names.ghost_id(number), caller_name=caller_name)

    async def bot_room(self, user: UserId) -> RoomId:
        """A room of the bot with `user` and nobody else, made when there is none."""
        return (await self._portals.portal(user=user, ghost=self._names.bot)).room_id

    async def rename_ghosts(self) -> int:
        """After a change of the address book or the picture: give every ghost those of today; how many had others."""
        renamed = await self._ghosts.rename_all()
        if renamed:
            for user, number in await self._store.own_names.all():
                await self._name_tags.change(user, self._names.ghost_id(number))
        return renamed

    async def show_own_name(self, *, user: UserId, number: E164) -> None:
        """After a change of what a user calls a number: show it in the room of the two."""
        await self._name_tags.change(user, self._names.ghost_id(number))

    def ghost_number(self, user_id: UserId) -> str | None:
        """The number that a ghost stands for; `None` when it is no ghost of ours."""
        return self._names.number(user_id)

    @property
    def bot(self) -> UserId:
        """The bridge's own user."""
        return self._names.bot

    def is_local(self, user_id: UserId) -> bool:
        """Whether a user has an account on our homeserver."""
        return self._names.is_local(user_id)

    def is_ours(self, user_id: UserId) -> bool:
        """Whether a user is a ghost of ours or the bot."""
        return self._names.is_ours(user_id)
