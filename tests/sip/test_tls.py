"""TLS between two endpoints, and with peers that misbehave: who is believed, who is not, and what is said."""

import asyncio
import os
import shutil
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.core.ids import TrunkName
from bridge.core.telemetry import NoTelemetry
from bridge.sip.events import CallAnswered, CallEnded, CallFailed, IncomingCall
from bridge.sip.io import stream as stream_module
from bridge.sip.io import streams as streams_module
from bridge.sip.io.certificates import CertificateError
from bridge.sip.io.endpoint import EndpointError
from bridge.sip.io.streams import MAX_PER_HOST
from bridge.sip.io.tls import TlsError, TlsSession
from bridge.sip.io.tls_contexts import TlsContexts
from bridge.sip.message import Request, Response
from bridge.sip.parser import parse_message
from bridge.sip.settings import SipSettings, TlsSettings, Transport, Trunk, TrunkTls
from tests.patience import PATIENCE_S
from tests.peers.certificates import Authority, Identity
from tests.peers.process import free_port
from tests.sip.phone import LOOPBACK, CountingTelemetry, Phone, eventually
from tests.sip.scripted_peer import peer_request

TRUNK = TrunkName("trunk")


@dataclass(slots=True, kw_only=True)
class Lab:
    """Two endpoints with certificates of one authority, before they start."""

    authority: Authority
    identity: Identity
    ours: Identity
    tls: TlsSettings = field(init=False)

    def __post_init__(self) -> None:
        self.tls = TlsSettings(
            certificate=self.identity.certificate,
            private_key=self.identity.private_key,
            ca_file=self.authority.ca_file,
        )

    def callee(self, *, tls: TlsSettings | None = None, host: str = LOOPBACK) -> Phone:
        """Listens with TLS, and believes calls from this machine."""
        trunk = Trunk(name=TRUNK, host=host, port=free_port(), transport=Transport.TLS)
        return Phone(trunk, tls=tls or self.tls, host=host)

    def caller(self, callee: Phone, *, files: TlsSettings | None = None, **settings: object) -> Phone:
        """Calls the callee; without a certificate unless one is given."""
        host = callee.endpoint.addresses[0].host
        given = {"host": host, "port": callee.port, **settings}
        trunk = Trunk(name=TRUNK, transport=Transport.TLS, **given)  # type: ignore[arg-type]
        anonymous = TlsSettings(ca_file=self.authority.ca_file)
        return Phone(trunk, transports=(Transport.UDP,), tls=files or anonymous, host=host)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    authority = Authority(tmp_path)
    return Lab(authority=authority, identity=authority.issue(file="callee"), ours=authority.issue(file="caller"))


async def failure(caller: Phone) -> CallFailed:
    caller.call("+15550100")
    return await caller.wait(CallFailed)


def refusals(phone: Phone, direction: str, reason: str) -> int:
    return phone.telemetry.counts[f"sip_tls_failures_total direction={direction} reason={reason}"]


# Calls.


@pytest.mark.parametrize("host", [LOOPBACK, "::1"])
async def test_a_call_goes_through_and_the_next_one_takes_the_same_connection(lab: Lab, host: str) -> None:
    async with lab.callee(host=host) as callee, lab.caller(callee) as caller:
        for count in (1, 2, 3):
            dialog = caller.call("+15550100")
            await caller.wait(CallAnswered, count=count)
            caller.endpoint.bye(dialog)
            await eventually(lambda: not callee.endpoint.open_dialogs and not caller.endpoint.open_dialogs)
        assert len(caller.endpoint._network._pool) == 1
        assert len(callee.of(IncomingCall)) == 3


async def test_a_name_is_what_the_certificate_must_have_not_the_address_it_leads_to(lab: Lab) -> None:
    identity = lab.authority.issue("localhost", file="named")
    tls = replace(lab.tls, certificate=identity.certificate, private_key=identity.private_key)
    async with lab.callee(tls=tls) as callee, lab.caller(callee, host="localhost") as caller:
        caller.call("+15550100")
        await caller.wait(CallAnswered)


async def test_a_trunk_that_changes_is_believed_by_its_new_files_and_without_them_nothing_changes(
    lab: Lab, tmp_path: Path
) -> None:
    stranger = TlsSettings(ca_file=Authority(tmp_path, "Another Authority").ca_file)
    async with lab.callee() as callee, lab.caller(callee, files=stranger) as caller:
        assert (await failure(caller)).status == 503
        settings = caller.endpoint._settings
        (trunk,) = settings.trunks
        missing = replace(trunk, tls=TrunkTls(ca_file=tmp_path / "missing.pem"))
        with pytest.raises(CertificateError):
            await caller.endpoint.prepare(replace(settings, trunks=(missing,)))
        assert caller.endpoint.trunk_up(TRUNK)
        right = replace(trunk, tls=TrunkTls(ca_file=lab.authority.ca_file))
        caller.endpoint.change_trunks(await caller.endpoint.prepare(replace(settings, trunks=(right,))))
        caller.call("+15550100")
        await caller.wait(CallAnswered)


async def test_a_certificate_with_another_name_is_accepted_when_the_settings_give_it(lab: Lab) -> None:
    identity = lab.authority.issue("pbx.internal", file="named")
    tls = replace(lab.tls, certificate=identity.certificate, private_key=identity.private_key)
    named = TrunkTls(server_name="pbx.internal")
    async with lab.callee(tls=tls) as callee, lab.caller(callee, tls=named) as caller:
        caller.call("+15550100")
        await caller.wait(CallAnswered)


async def test_a_trunk_that_signed_its_own_certificate_is_trusted_by_giving_just_that(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "Stranger").issue(file="self")
    tls = replace(lab.tls, certificate=stranger.certificate, private_key=stranger.private_key)
    async with (
        lab.callee(tls=tls) as callee,
        lab.caller(callee, files=TlsSettings(ca_file=stranger.certificate)) as caller,
    ):
        caller.call("+15550100")
        await caller.wait(CallAnswered)


# Who is not believed.


@pytest.mark.parametrize("reason", ["untrusted", "name", "expired"])
async def test_a_trunk_without_a_good_certificate_gets_no_call(lab: Lab, tmp_path: Path, reason: str) -> None:
    (tmp_path / "other").mkdir()
    bad: dict[str, Callable[[], Identity]] = {
        "untrusted": lambda: Authority(tmp_path / "other", "Stranger").issue(file="bad"),
        "name": lambda: lab.authority.issue("elsewhere.example.org", file="bad"),
        "expired": lambda: lab.authority.issue(file="bad", expired=True),
    }
    identity = bad[reason]()
    tls = replace(lab.tls, certificate=identity.certificate, private_key=identity.private_key)
    async with lab.callee(tls=tls) as callee, lab.caller(callee) as caller:
        with capture_logs() as lines:
            assert (await failure(caller)).status == 503
            assert (await failure(caller)).status == 503
        assert refusals(caller, "out", reason) >= 1
        warned = [line for line in lines if line["event"] == "tls_failed" and line["reason"] == reason]
        assert [(line["direction"], line["trunk"]) for line in warned if line["direction"] == "out"] == [("out", TRUNK)]
        assert warned[0]["remedy"]
        assert callee.of(IncomingCall) == []
        await eventually(lambda: refusals(callee, "in", "refused") >= 1)


async def test_a_peer_has_to_show_a_certificate_where_one_is_required(lab: Lab) -> None:
    strict = replace(lab.tls, require_client_certificate=True)
    async with lab.callee(tls=strict) as callee:
        async with lab.caller(callee) as nobody:
            assert (await failure(nobody)).status == 503
            assert refusals(nobody, "out", "refused") == 1
        assert refusals(callee, "in", "no_certificate") == 1
        mine = replace(lab.tls, certificate=lab.ours.certificate, private_key=lab.ours.private_key)
        async with lab.caller(callee, files=mine) as caller:
            caller.call("+15550100")
            await caller.wait(CallAnswered)


async def test_a_certificate_of_another_authority_is_none_where_one_is_required(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "Stranger").issue(file="stranger")
    strict = replace(lab.tls, require_client_certificate=True)
    theirs = replace(lab.tls, certificate=stranger.certificate, private_key=stranger.private_key)
    async with lab.callee(tls=strict) as callee, lab.caller(callee, files=theirs) as caller:
        assert (await failure(caller)).status == 503
        assert refusals(callee, "in", "untrusted") == 1


async def test_a_trunk_may_get_a_certificate_of_its_own(lab: Lab) -> None:
    strict = replace(lab.tls, require_client_certificate=True)
    own = TrunkTls(certificate=lab.ours.certificate, private_key=lab.ours.private_key, ca_file=lab.authority.ca_file)
    async with lab.callee(tls=strict) as callee:
        trunk = Trunk(name=TRUNK, host=LOOPBACK, port=callee.port, transport=Transport.TLS, tls=own)
        async with Phone(trunk, transports=(Transport.UDP,)) as caller:
            caller.call("+15550100")
            await caller.wait(CallAnswered)


async def test_old_versions_are_not_spoken(lab: Lab) -> None:
    async with lab.callee() as callee:
        context = trusting(lab)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection(LOOPBACK, callee.port, ssl=context)
        assert refusals(callee, "in", "version") == 1


# Peers that misbehave.


def trusting(lab: Lab) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=lab.authority.ca_file)


@asynccontextmanager
async def secured(lab: Lab, to: Phone) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(LOOPBACK, to.port, ssl=trusting(lab))
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def an_options(branch: str = "one") -> bytes:
    request = peer_request("OPTIONS", branch=branch, call_id=f"call-{branch}")
    request.headers.set("Via", f"SIP/2.0/TLS {LOOPBACK}:9;branch=z9hG4bK{branch};rport")
    return bytes(request)


async def read_message(reader: asyncio.StreamReader) -> Request | Response:
    return parse_message(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S))


async def test_a_message_may_come_byte_by_byte_and_several_at_once(lab: Lab) -> None:
    async with lab.callee() as callee, secured(lab, callee) as (reader, writer):
        request = an_options()
        for position in range(len(request)):
            writer.write(request[position : position + 1])
            await writer.drain()
        assert isinstance(await read_message(reader), Response)
        writer.write(b"".join(an_options(str(number)) for number in range(5)))
        assert [(await read_message(reader)).via.branch for _ in range(5)] == [f"z9hG4bK{n}" for n in range(5)]


async def test_a_ping_gets_a_pong(lab: Lab) -> None:
    async with lab.callee() as callee, secured(lab, callee) as (reader, writer):
        writer.write(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(2), PATIENCE_S) == b"\r\n"


@pytest.mark.parametrize(
    "garbage", [b"OPTIONS sip:a@b SIP/2.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\xff" * 500, b"\x80" * 3000]
)
async def test_what_is_not_tls_ends_the_connection(lab: Lab, garbage: bytes) -> None:
    async with lab.callee() as callee:
        reader, writer = await asyncio.open_connection(LOOPBACK, callee.port)
        writer.write(garbage)
        await asyncio.gather(asyncio.wait_for(reader.read(), PATIENCE_S), return_exceptions=True)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await eventually(lambda: refusals(callee, "in", "handshake") + refusals(callee, "in", "version") == 1)
        await eventually(lambda: len(callee.endpoint._network._pool) == 0)


async def test_a_handshake_that_does_not_end_is_ended(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "HANDSHAKE_LIMIT_S", 0.1)
    async with lab.callee() as callee:
        reader, writer = await asyncio.open_connection(LOOPBACK, callee.port)
        writer.write(b"\x16\x03\x01")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(1), PATIENCE_S)
        writer.close()
        assert refusals(callee, "in", "timeout") == 1


async def test_a_trunk_that_does_not_shake_hands_fails_the_call(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "CONNECT_LIMIT_S", 0.2)
    writers = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    trunk = Trunk(name=TRUNK, host=LOOPBACK, port=port, transport=Transport.TLS)
    async with Phone(trunk, transports=(Transport.UDP,)) as caller:
        assert (await failure(caller)).status == 503
        assert refusals(caller, "out", "timeout") == 1
        await eventually(lambda: len(caller.endpoint._network._pool) == 0)
    for writer in writers:
        writer.close()
    server.close()
    await server.wait_closed()


async def test_limits_apply_before_the_handshake(lab: Lab) -> None:
    async with lab.callee() as callee:
        writers = []
        for _ in range(MAX_PER_HOST + 5):
            _, writer = await asyncio.open_connection(LOOPBACK, callee.port)
            writers.append(writer)
        await eventually(lambda: callee.telemetry.counts["sip_dropped_total reason=overload"] == 5)
        for writer in writers:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_a_stranger_sees_no_certificate(lab: Lab) -> None:
    trunk = Trunk(name=TRUNK, host="127.0.0.9", port=5061, transport=Transport.TLS)
    async with Phone(trunk, tls=lab.tls) as callee:
        with pytest.raises((OSError, ssl.SSLError)):
            await asyncio.open_connection(LOOPBACK, callee.port, ssl=trusting(lab))
        assert callee.telemetry.counts["sip_dropped_total reason=acl"] == 1


@pytest.mark.parametrize("politely", [True, False])
async def test_a_peer_that_leaves_in_the_middle_of_a_message_harms_nobody(lab: Lab, politely: bool) -> None:
    async with lab.callee() as callee:
        async with secured(lab, callee) as (_, writer):
            writer.write(an_options()[:-10])
            await writer.drain()
            await eventually(lambda: any(one.pending for one in callee.endpoint._network._pool._streams.values()))
            if not politely:
                writer.transport.abort()
        await eventually(lambda: len(callee.endpoint._network._pool) == 0)
        async with secured(lab, callee) as (reader, writer):
            writer.write(an_options("two"))
            assert isinstance(await read_message(reader), Response)


async def test_a_broken_record_ends_the_connection_and_nothing_else(lab: Lab) -> None:
    async with lab.callee() as callee, secured(lab, callee) as (reader, writer):
        writer.write(an_options())
        await read_message(reader)
        os.write(writer.get_extra_info("socket").fileno(), b"\x17\x03\x03\x00\x20" + b"\x00" * 32)
        await eventually(lambda: len(callee.endpoint._network._pool) == 0)
        assert refusals(callee, "in", "handshake") == 1


async def test_a_message_that_trickles_ends_the_connection(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "SWEEP_S", 0.02)
    monkeypatch.setattr(streams_module, "PARTIAL_LIMIT_S", 0.1)
    async with lab.callee() as callee, secured(lab, callee) as (reader, writer):
        writer.write(an_options())
        await read_message(reader)
        slowly = iter(an_options("two"))

        def ended() -> bool:
            writer.write(bytes((next(slowly),)))
            return len(callee.endpoint._network._pool) == 0

        await eventually(ended)


async def test_a_connection_that_cannot_be_written_to_fails_the_request_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(session: TlsSession, plaintext: bytes) -> None:
        raise TlsError("closed")

    async with lab.callee() as callee, lab.caller(callee) as caller:
        caller.call("+15550100")
        await caller.wait(CallAnswered)
        with monkeypatch.context() as patch:
            patch.setattr(TlsSession, "write", fail)
            assert (await failure(caller)).status == 503
        await eventually(lambda: len(caller.endpoint._network._pool) == 0)
        caller.call("+15550100")
        await caller.wait(CallAnswered, count=2)


# Certificates that change.


async def presented(lab: Lab, phone: Phone) -> bytes:
    async with secured(lab, phone) as (_, writer):
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert isinstance(certificate, bytes)
        return certificate


async def test_new_connections_get_a_new_certificate_and_old_ones_live_on(lab: Lab) -> None:
    async with lab.callee() as callee, secured(lab, callee) as (reader, writer):
        first = await presented(lab, callee)
        lab.authority.issue(file="callee")
        await callee.endpoint.reload_tls()
        assert await presented(lab, callee) != first
        writer.write(an_options())
        assert isinstance(await read_message(reader), Response)
        assert callee.telemetry.counts["tls_reloads_total outcome=done"] >= 1


async def test_what_has_not_changed_is_not_read_again(lab: Lab) -> None:
    async with lab.callee() as callee:
        await callee.endpoint.reload_tls()
        assert not [name for name in callee.telemetry.counts if name.startswith("tls_reloads")]


def test_a_trunk_that_is_left_is_believed_by_its_own_authority_until_its_calls_are_over(lab: Lab) -> None:
    trunk = Trunk(name=TRUNK, host=LOOPBACK, transport=Transport.TLS, tls=TrunkTls(ca_file=lab.authority.ca_file))
    settings = SipSettings(listeners=(), trunks=(trunk,))
    contexts = TlsContexts(settings, NoTelemetry())
    contexts.load()
    known = contexts.client(trunk.tls.files)
    for left, is_known in (((trunk,), True), ((), False)):
        contexts.take(contexts.prepare(replace(settings, trunks=()), left))
        assert (contexts.client(trunk.tls.files) is known) is is_known


async def believe(phone: Phone, ca_file: Path) -> None:
    """Another configuration of the trunk."""
    settings = phone.endpoint._settings
    (trunk,) = settings.trunks
    other = replace(trunk, tls=TrunkTls(ca_file=ca_file))
    phone.endpoint.change_trunks(await phone.endpoint.prepare(replace(settings, trunks=(other,))))


async def test_a_trunk_that_is_believed_no_more_gets_no_call_by_the_open_connection_and_the_last_one_may_end(
    lab: Lab, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "Another Authority").ca_file
    async with lab.callee() as callee, lab.caller(callee) as caller:
        dialog = caller.call("+15550100")
        await caller.wait(CallAnswered)
        await believe(caller, stranger)
        assert (await failure(caller)).status == 503
        assert refusals(caller, "out", "untrusted") == 1
        assert len(callee.of(IncomingCall)) == 1
        caller.endpoint.bye(dialog)
        await callee.wait(CallEnded)
        assert refusals(caller, "out", "untrusted") == 1


async def test_a_trunk_with_other_files_gets_a_connection_that_is_made_with_them(lab: Lab, tmp_path: Path) -> None:
    same = Path(shutil.copy(lab.authority.ca_file, tmp_path / "copy.pem"))
    async with lab.callee() as callee, lab.caller(callee) as caller:
        caller.call("+15550100")
        await caller.wait(CallAnswered)
        await believe(caller, same)
        caller.call("+15550100")
        await caller.wait(CallAnswered, count=2)
        streams = caller.endpoint._network._pool._streams.values()
        assert [stream.flow.tls.ca_file for stream in streams] == [None, same]


async def test_a_broken_new_certificate_leaves_the_old_one_in_use(lab: Lab) -> None:
    async with lab.callee() as callee:
        first = await presented(lab, callee)
        lab.identity.certificate.write_text("nonsense")
        with capture_logs() as lines:
            await callee.endpoint.reload_tls()
            await callee.endpoint.reload_tls()
        failed = [line for line in lines if line["event"] == "tls_reload_failed"]
        assert failed
        assert "no certificate in PEM form" in failed[0]["error"]
        assert callee.telemetry.counts["tls_reloads_total outcome=failed"] == len(failed) == 2
        assert await presented(lab, callee) == first


async def test_half_of_a_change_is_waited_out(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    async with lab.callee() as callee:
        first = await presented(lab, callee)
        shutil.copy(lab.ours.certificate, lab.identity.certificate)
        await callee.endpoint.reload_tls()
        assert await presented(lab, callee) == first
        shutil.copy(lab.ours.private_key, lab.identity.private_key)
        await callee.endpoint.reload_tls()
        assert await presented(lab, callee) != first


async def test_it_is_told_when_the_certificate_ends(lab: Lab) -> None:
    async with lab.callee() as callee:
        ends = callee.telemetry.levels["tls_certificate_expires_timestamp_seconds"]
        assert ends > 1_700_000_000


def test_no_end_is_told_of_a_certificate_that_only_a_trunk_had_which_is_gone(lab: Lab) -> None:
    files = TrunkTls(certificate=lab.identity.certificate, private_key=lab.identity.private_key)
    trunk = Trunk(name=TRUNK, host=LOOPBACK, transport=Transport.TLS, tls=files)
    settings, telemetry = SipSettings(listeners=(), trunks=(trunk,)), CountingTelemetry(TRUNK)
    contexts = TlsContexts(settings, telemetry)
    contexts.load()
    ready = contexts.prepare(replace(settings, trunks=()), (trunk,))
    assert telemetry.levels["tls_certificate_expires_timestamp_seconds"] > 1_700_000_000, "nothing has changed yet"
    contexts.take(ready)
    assert telemetry.levels["tls_certificate_expires_timestamp_seconds"] == 0


async def test_a_certificate_that_cannot_be_used_is_a_clear_error_at_the_start(lab: Lab) -> None:
    mixed = replace(lab.tls, private_key=lab.ours.private_key)
    with pytest.raises(EndpointError, match="is not the key of"):
        async with lab.callee(tls=mixed):
            pass
