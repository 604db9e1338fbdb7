"""The life of a call: what is kept of it, what is not, and what an operator sees."""

import socket
import sqlite3
import struct
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from bridge.core.ids import CallId
from bridge.core.telemetry import NoTelemetry
from bridge.ops.declarations.label_values import REASONS
from bridge.ops.traces.audio import intervals
from bridge.ops.traces.cleaning import Cleaner, call_id_of, title_of
from bridge.ops.traces.hep import HepSender, HepSettings
from bridge.ops.traces.items import CallNamed, CallSeen, Kind, Noted, SipMessage, Way
from bridge.ops.traces.ladder import WIDTH, ladder_of, overview, overview_of
from bridge.ops.traces.recorder import CallRecorder, TraceSettings
from bridge.ops.traces.showing import Showing, description_of
from bridge.ops.traces.sorter import LINGER_S, NOT_KEPT, WAIT_S, Sorter
from bridge.store.database import StoreError
from bridge.store.traces.file import TraceFile
from bridge.store.traces.reader import TraceReader
from bridge.store.traces.rows import CallFilter, TracedCall, TraceEntry
from tests.patience import PATIENCE_S

CALL = CallId("ourcall")
NUMBER, USER = "+15550100", "@wanda.walker:example.org"
SDP = (
    "v=0\r\no=wanda 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
    "m=audio 4000 RTP/SAVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2Vj\r\na=sendonly\r\n"
)


def sip(first_line: str, *headers: str, body: str = "", call_id: str = "abc@192.0.2.7") -> bytes:
    head = [
        first_line,
        f'From: "Wanda Walker" <sip:{NUMBER}@192.0.2.7>;tag=1',
        f"Call-ID: {call_id}",
        "CSeq: 1 INVITE",
        *headers,
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


def passed(payload: bytes, *, outgoing: bool = True, at: float = 1_000.0) -> SipMessage:
    return SipMessage(
        at=at,
        outgoing=outgoing,
        payload=payload,
        transport="udp",
        local=("192.0.2.7", 5060),
        remote=("192.0.2.9", 5061),
    )


def named(call_id: CallId = CALL, name: str = "abc@192.0.2.7") -> CallNamed:
    return CallNamed(call_id=call_id, name=name, of_sip=True)


def begun(**changes: object) -> TracedCall:
    values: dict[str, object] = {
        "call_id": CALL,
        "began_at": 1_000.0,
        "direction": "outbound",
        "trunk": "carrier",
        "user": USER,
        "number": NUMBER,
        **changes,
    }
    return TracedCall(**values)  # type: ignore[arg-type]


def step(kind: Kind, title: str, *, at: float = 1_000.0, way: Way = Way.NONE, detail: str = "") -> TraceEntry:
    return TraceEntry(call_id=CALL, at=at, kind=kind, way=way, title=title, detail=detail)


def counters(received: int, lost: int = 0) -> dict[str, dict[str, object]]:
    leg = {"codec": "PCMU", "packets_received": received, "packets_lost": lost, "jitter_ms": 3.0}
    return {"matrix": leg, "sip": leg}


# What is left out.


@pytest.mark.parametrize(
    "header",
    [
        'Authorization: Digest username="u", response="sesame"',
        'proxy-authorization :Digest username="u",\r\n response="sesame"',
        'WWW-Authenticate: Digest nonce="sesame"',
        "Identity: sesame;info=<https://example.org>",
        "X-Account: sesame",
    ],
)
def test_credentials_are_blanked_however_they_are_written(header: str) -> None:
    cleaned = Cleaner(["X-Account"]).clean(sip("INVITE sip:a@b SIP/2.0", header, "Subject: stays"))
    assert b"sesame" not in cleaned
    assert b"Subject: stays\r\n" in cleaned
    assert call_id_of(cleaned) == "abc@192.0.2.7"


def test_keys_of_audio_are_crossed_out_and_the_length_stays_true() -> None:
    cleaned = Cleaner().clean(sip("INVITE sip:a@b SIP/2.0", body=SDP))
    assert b"c2VjcmV0" not in cleaned
    assert len(cleaned.partition(b"\r\n\r\n")[2]) == len(SDP)


@pytest.mark.parametrize(
    ("kind", "body", "left"),
    [
        ("application/dtmf-relay", "Signal= 7\r\nDuration= 160\r\n", "Signal= *\r\nDuration= 160\r\n"),
        ("application/dtmf", "7", "*"),
    ],
)
def test_digits_are_crossed_out(kind: str, body: str, left: str) -> None:
    cleaned = Cleaner().clean(sip("INFO sip:a@b SIP/2.0", f"Content-Type: {kind}", body=body))
    assert cleaned.partition(b"\r\n\r\n")[2].decode() == left


def test_what_people_write_to_each_other_is_crossed_out() -> None:
    message = sip("MESSAGE sip:a@b SIP/2.0", body="see you at eight").replace(b"1 INVITE", b"1 MESSAGE")
    assert Cleaner().clean(message).endswith(b"\r\n\r\n" + b"*" * len("see you at eight"))


@pytest.mark.parametrize(
    ("line", "title"), [("BYE sip:a@b SIP/2.0", "BYE"), ("SIP/2.0 180 Ringing", "180 Ringing (INVITE)")]
)
def test_a_message_has_a_short_title(line: str, title: str) -> None:
    assert title_of(sip(line)) == title


# Whose message it is.


def test_a_message_that_comes_before_its_call_waits_for_it() -> None:
    sorter = Sorter(Cleaner())
    sorter.take(passed(sip("INVITE sip:a@b SIP/2.0")), 0.0)
    assert not sorter.collect(0.1)
    sorter.take(named(), 0.2)
    batch = sorter.collect(0.2)
    assert [(entry.call_id, entry.title) for entry in batch.entries] == [(CALL, "INVITE")]


def test_a_message_of_no_call_is_not_kept_but_passed_on_under_its_own_name() -> None:
    sorter = Sorter(Cleaner())
    sorter.take(passed(sip("REGISTER sip:b SIP/2.0")), 0.0)
    batch = sorter.collect(WAIT_S)
    assert batch.entries == []
    assert [sighting.call for sighting in batch.sightings] == ["abc@192.0.2.7"]


def test_the_messages_after_the_end_are_still_the_calls_own_and_then_it_is_forgotten() -> None:
    sorter = Sorter(Cleaner())
    sorter.take(named(), 0.0)
    sorter.take(CallSeen(call=begun(ended_at=1_001.0)), 1.0)
    sorter.take(passed(sip("BYE sip:a@b SIP/2.0")), 2.0)
    assert [entry.title for entry in sorter.collect(2.0).entries] == ["BYE"]
    sorter.collect(1.0 + LINGER_S)
    sorter.take(passed(sip("BYE sip:a@b SIP/2.0")), 70.0)
    assert sorter.collect(80.0).entries == []


# The file.


def test_a_phone_that_sends_without_end_fills_its_own_share_only() -> None:
    sorter = Sorter(Cleaner())
    sorter.take(named(CALL), 0.0)
    for _ in range(3_000):
        sorter.take(passed(sip("INFO sip:bridge SIP/2.0", body="x" * 100)), 0.0)
    sorter.take(Noted(entry=step(Kind.VERDICT, "success: completed")), 0.0)
    batch = sorter.collect(0.0)
    assert len(batch.sightings) == 3_000
    assert [entry.kind for entry in batch.entries] == [Kind.SIP] * 1_000 + [Kind.STATE, Kind.VERDICT]
    assert batch.entries[-2].title == NOT_KEPT


def test_a_call_is_found_by_each_of_its_names_and_parts(tmp_path: Path) -> None:
    file = TraceFile(tmp_path / "traces")
    file.write(calls=[begun()], names=[("abc@192.0.2.7", CALL), ("matrix1", CALL)])
    file.write(calls=[begun(ended_at=1_009.0, result="client", reason="busy")])
    reader = TraceReader(tmp_path / "traces")
    for name in ("abc@192.0.2.7", "matrix1", CALL):
        assert reader.find(name) == [CALL]
    assert reader.find("unknown") == []
    for text, found in (("wanda", 1), ("550100", 1), ("matrix1", 1), ("100%", 0), ("w_nda", 0), ("nobody", 0)):
        assert len(reader.calls(CallFilter(text=text))) == found, text
    assert reader.calls(CallFilter(result="success")) == []
    assert [(tally.reason, tally.calls) for tally in reader.tally(since=0)] == [("busy", 1)]
    file.close()


def test_pages_of_calls_that_began_at_one_moment_leave_none_out(tmp_path: Path) -> None:
    file = TraceFile(tmp_path / "traces")
    began = {"a": 3.0, "b": 2.0, "c": 2.0, "d": 2.0, "e": 1.0}
    file.write(calls=[begun(call_id=CallId(name), began_at=at) for name, at in began.items()])
    file.close()
    reader, found = TraceReader(tmp_path / "traces"), list[TracedCall]()
    while page := reader.calls(CallFilter(before=found[-1].place if found else None, limit=2)):
        found += page
    assert [call.call_id for call in found] == ["a", "d", "c", "b", "e"]


def test_the_sound_of_a_very_long_call_is_thinned_out_evenly_and_nothing_else_is(tmp_path: Path) -> None:
    file = TraceFile(tmp_path / "traces")
    sound = [TraceEntry(call_id=CALL, at=float(n), kind=Kind.AUDIO, title="", detail="{}") for n in range(1000)]
    steps = [TraceEntry(call_id=CALL, at=float(n), kind=Kind.STATE, title=str(n)) for n in range(100)]
    file.write(calls=[begun()], entries=[*sound, *steps])
    reader = TraceReader(tmp_path / "traces")
    assert [entry.at for entry in reader.sound(CALL, limit=100)] == [float(n) for n in range(0, 1000, 10)]
    assert [entry.title for entry in reader.steps(CALL, skip=90, limit=20)] == [str(n) for n in range(90, 100)]
    assert len(reader.entries(CALL)) == 1100
    file.close()


def test_old_calls_are_forgotten_and_a_file_that_grows_too_large_loses_the_oldest(tmp_path: Path) -> None:
    file = TraceFile(tmp_path / "traces")
    for number in range(40):
        call_id = CallId(f"call{number}")
        entry = TraceEntry(call_id=call_id, at=1.0, kind=Kind.SIP, title="INVITE", detail="x" * 10_000)
        file.write(calls=[begun(call_id=call_id, began_at=float(number))], entries=[entry] * 3)
    file.prune(before=5.0, max_bytes=10_000_000)
    reader = TraceReader(tmp_path / "traces")
    assert (reader.call(CallId("call4")), reader.entries(CallId("call4"))) == (None, [])
    assert reader.call(CallId("call5")) is not None
    file.prune(before=0.0, max_bytes=600_000)
    assert file.size <= 600_000
    assert reader.call(CallId("call5")) is None
    assert len(reader.entries(CallId("call39"))) == 3
    file.close()


def test_traces_that_cannot_be_opened_for_a_while_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup holds the file, or the disk is full: that ends, and what was traced before is wanted then."""
    path = tmp_path / "traces"
    file = TraceFile(path)
    file.write(calls=[begun()])
    file.close()
    monkeypatch.setattr("bridge.store.traces.tables.BUSY_S", 0.0)
    with closing(sqlite3.connect(path)) as backup:
        backup.execute("PRAGMA locking_mode = EXCLUSIVE")
        backup.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked"):
            TraceFile(path)
    TraceFile(path).close()
    assert TraceReader(path).call(CALL) is not None


def test_a_file_that_holds_no_traces_makes_room_for_one_that_does(tmp_path: Path) -> None:
    path = tmp_path / "traces"
    path.write_bytes(b"no database at all, and larger than a header of one" * 100)
    file = TraceFile(path)
    file.write(calls=[begun()])
    file.close()
    assert TraceReader(path).call(CALL) is not None


def test_a_call_that_a_dead_process_left_is_ended(tmp_path: Path) -> None:
    file = TraceFile(tmp_path / "traces")
    file.write(calls=[begun()])
    file.close()
    recorder = CallRecorder(TraceSettings(path=tmp_path / "traces", days=100_000.0), telemetry=NoTelemetry())
    recorder.start()
    recorder.stop()
    found = TraceReader(tmp_path / "traces").call(CALL)
    assert found is not None
    assert (found.reason, found.ended_at) == ("abnormal", 1_000.0)


def test_a_call_that_goes_on_is_not_ended_when_the_file_is_opened_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error of the disk, or by a command beside the bridge."""
    monkeypatch.setattr("bridge.ops.traces.recorder._RETRY_S", 0.0)
    began, failed, write = Event(), Event(), TraceFile.write

    def fails_once(file: TraceFile, **rows: Any) -> None:
        if began.is_set() and not failed.is_set():
            failed.set()
            raise StoreError("disk I/O error")
        write(file, **rows)
        began.set()

    monkeypatch.setattr(TraceFile, "write", fails_once)
    recorder = CallRecorder(TraceSettings(path=tmp_path / "traces", days=100_000.0), telemetry=NoTelemetry())
    recorder.start()
    recorder.add(CallSeen(call=begun()))
    assert began.wait(PATIENCE_S)
    recorder.add(Noted(entry=step(Kind.STATE, "lost")))
    assert failed.wait(PATIENCE_S)
    recorder.add(Noted(entry=step(Kind.STATE, "kept")))
    recorder.stop()
    TraceFile(tmp_path / "traces").close()
    found = TraceReader(tmp_path / "traces").call(CALL)
    assert found is not None
    assert (found.reason, found.ended_at) == ("", None)


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b""])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "traces").write_bytes(damage)
    file = TraceFile(tmp_path / "traces")
    file.write(calls=[begun()])
    file.close()
    assert TraceReader(tmp_path / "traces").find(CALL) == [CALL]


def test_half_a_character_in_a_strangers_id_is_no_reason_to_lose_an_entry(tmp_path: Path) -> None:
    file = TraceFile(tmp_path / "traces")
    file.write(calls=[begun(user="@\ud800:example.org")], entries=[step(Kind.MATRIX, "\ud800")])
    file.close()
    assert len(TraceReader(tmp_path / "traces").entries(CALL)) == 1


def test_without_a_file_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there are no traces yet"):
        TraceReader(tmp_path / "nowhere").find("x")


# What is shown.


def recorded(tmp_path: Path) -> Path:
    file = TraceFile(tmp_path / "traces")
    invite = sip("INVITE sip:+15550100@192.0.2.9 SIP/2.0", body=SDP)
    steps = [
        step(Kind.MATRIX, "m.call.invite", way=Way.IN, detail="OPUS PCMU, sendrecv"),
        step(Kind.STATE, "new → preparing", detail="CallPermitted"),
        step(Kind.SIP, "INVITE", way=Way.OUT, at=1_000.02, detail=invite.decode()),
        step(Kind.SIP, "180 Ringing (INVITE)", way=Way.IN, at=1_000.4, detail="SIP/2.0 180 Ringing"),
        step(Kind.MATRIX, "m.call.\x1b[31manswer" + "x" * 300, way=Way.OUT, at=1_001.0),
        step(Kind.AUDIO, "", at=1_002.0, detail='{"matrix": {"packets_received": 0}, "sip": {}}'),
        step(
            Kind.AUDIO,
            "",
            at=1_007.0,
            detail='{"matrix": {"codec": "OPUS", "packets_received": 250}, "sip": {"packets_received": 0}}',
        ),
        step(Kind.VERDICT, "success: completed", at=1_010.0),
    ]
    file.write(
        calls=[begun(ended_at=1_010.0, result="success", reason="completed", talk_s=9.0)],
        names=[("abc@192.0.2.7", CALL)],
        entries=steps,
    )
    file.close()
    return tmp_path / "traces"


def test_the_ladder_fits_a_terminal_and_names_nobody(tmp_path: Path) -> None:
    lines = ladder_of(recorded(tmp_path), CALL, Showing(), messages=True)
    assert max(map(len, lines)) <= WIDTH
    text = "\n".join(lines)
    for secret in (NUMBER, "15550100", "wanda", "Wanda", "Walker", "192.0.2", "\x1b"):
        assert secret not in text, secret
    assert any("m.call.invite" in line and line.endswith("▶│") for line in lines)
    assert any("│INVITE" in line and line.endswith("▶") for line in lines)
    assert any("│◀" in line and line.endswith("180 Ringing (INVITE)") for line in lines)
    assert any("OPUS        50.0" in line for line in lines)


def test_numbers_are_shown_to_who_asks(tmp_path: Path) -> None:
    text = "\n".join(ladder_of(recorded(tmp_path), "abc@192.0.2.7", Showing(numbers=True), messages=True))
    assert f"{USER} calls {NUMBER}" in text
    assert "Wanda Walker" in text
    assert NUMBER in overview_of(recorded(tmp_path / ".."), Showing(numbers=True))[0]


@pytest.mark.parametrize("numbers", [False, True])
def test_the_list_of_calls_fits_a_terminal_and_has_every_outcome_whole(numbers: bool) -> None:
    showing = Showing(numbers=numbers)
    outcomes = [(result, reason) for reason in sorted(REASONS) for result in ("upstream", "success")]
    calls = [begun(ended_at=1_010.0, result=result, reason=reason) for result, reason in outcomes]
    lines = overview([replace(call, call_id=CallId("x" * 20), trunk="a-trunk-of-ours") for call in calls], showing)
    assert max(map(len, lines)) <= WIDTH
    for line, (result, reason) in zip(lines, outcomes, strict=True):
        assert f" {result}: {reason} " in f"{line} "
        assert showing.person(NUMBER) in line
    short = replace(calls[1], trunk="a-trunk-of-ours")
    assert overview([short], showing)[0].endswith(f"{short.result}: {short.reason}  a-trunk-of-ours")


def test_a_name_that_no_call_has_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no trace"):
        ladder_of(recorded(tmp_path), "unknown", Showing(), messages=False)


@pytest.mark.parametrize(
    ("sdp", "words"),
    [
        (SDP, "PCMU PCMA, sendonly"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n", "OPUS, sendrecv"),
        ("m=audio 0 RTP/AVP 0\r\n", "no audio"),
        ("", ""),
    ],
)
def test_a_description_in_a_few_words(sdp: str, words: str) -> None:
    assert description_of(sdp) == words


def test_sound_is_told_by_what_came_between_two_moments() -> None:
    good, lossy, silent, anew = intervals(
        [
            (0.0, counters(0)),
            (5.0, counters(250)),
            (10.0, counters(450, lost=50)),
            (15.0, counters(450, lost=50)),
            (20.0, counters(100)),
        ]
    )
    assert (good.client.packets_per_s, good.client.word) == (50.0, "good")
    assert (lossy.client.loss_percent, lossy.client.word) == (20.0, "poor")
    assert silent.client.word == "quiet"
    assert anew.client.packets_per_s == 20.0


def test_a_side_that_is_lost_is_told_from_one_that_is_quiet() -> None:
    (interval,) = intervals([(0.0, counters(9)), (5.0, {**counters(9), "silent": "sip"})])
    assert (interval.client.word, interval.phone.word) == ("quiet", "silent")


def test_whatever_else_is_measured_is_kept_with_the_side_from_which_the_sound_comes() -> None:
    after = {**counters(250), "heard_by_sip": {"frames_concealed": 3, "audible": True}}
    (interval,) = intervals([(0.0, counters(0)), (5.0, after)])
    assert interval.client.further == {"frames_concealed": 3}
    assert interval.phone.further == {}


# Together.


def test_what_was_recorded_can_be_read_when_the_recorder_has_stopped(tmp_path: Path) -> None:
    recorder = CallRecorder(TraceSettings(path=tmp_path / "traces"), telemetry=NoTelemetry())
    recorder.start()
    recorder.add(CallSeen(call=begun(began_at=4_000_000_000.0)))
    recorder.add(passed(sip("INVITE sip:a@b SIP/2.0")))
    recorder.add(named())
    recorder.add(Noted(entry=step(Kind.STATE, "ringing", at=1_001.0)))
    recorder.stop()
    assert [entry.title for entry in TraceReader(tmp_path / "traces").entries(CALL)] == ["INVITE", "ringing"]


def chunks_of(packet: bytes) -> dict[int, bytes]:
    """A receiver's view of HEP 3: every chunk by its type."""
    assert packet[:4] == b"HEP3"
    assert struct.unpack("!H", packet[4:6])[0] == len(packet)
    chunks, rest = {}, packet[6:]
    while rest:
        vendor, kind, length = struct.unpack("!HHH", rest[:6])
        assert vendor == 0
        chunks[kind] = rest[6:length]
        rest = rest[length:]
    return chunks


def test_homer_gets_each_message_under_the_name_of_its_call_without_credentials() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as homer:
        homer.bind(("127.0.0.1", 0))
        homer.settimeout(PATIENCE_S)
        hep = HepSettings(host="127.0.0.1", port=homer.getsockname()[1], capture_id=42, password="geheim")
        recorder = CallRecorder(TraceSettings(path=None, hep=hep), telemetry=NoTelemetry())
        recorder.start()
        recorder.add(passed(sip("INVITE sip:a@b SIP/2.0", "Authorization: Digest sesame"), at=1_000.25))
        recorder.add(named())
        chunks = chunks_of(homer.recv(65_535))
        recorder.stop()
    assert (chunks[1], chunks[2], chunks[11]) == (bytes([socket.AF_INET]), bytes([17]), b"\x01")
    assert (socket.inet_ntoa(chunks[3]), socket.inet_ntoa(chunks[4])) == ("192.0.2.7", "192.0.2.9")
    assert struct.unpack("!HH", chunks[7] + chunks[8]) == (5060, 5061)
    assert struct.unpack("!II", chunks[9] + chunks[10]) == (1_000, 250_000)
    assert struct.unpack("!I", chunks[12]) == (42,)
    assert chunks[14] == b"geheim"
    assert b"sesame" not in chunks[15]
    assert chunks[17] == CALL.encode()


def test_homer_is_told_ipv6_addresses_as_such_and_by_which_way_a_message_came() -> None:
    message = SipMessage(
        at=1.0,
        outgoing=False,
        payload=sip("BYE sip:a@b SIP/2.0"),
        transport="tls",
        local=("::", 5061),
        remote=("2001:db8::9", 7),
    )
    sorter = Sorter(Cleaner())
    sorter.take(message, 0.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as homer:
        homer.bind(("127.0.0.1", 0))
        homer.settimeout(PATIENCE_S)
        sender = HepSender(HepSettings(host="127.0.0.1", port=homer.getsockname()[1]))
        assert sender.send(sorter.collect(WAIT_S).sightings) == 1
        chunks = chunks_of(homer.recv(65_535))
        sender.close()
    assert chunks[1] == bytes([socket.AF_INET6])
    assert chunks[2] == bytes([6])
    assert socket.inet_ntop(socket.AF_INET6, chunks[5]) == "2001:db8::9"
    assert struct.unpack("!HH", chunks[7] + chunks[8]) == (7, 5061)


class Counted(NoTelemetry):
    def __init__(self) -> None:
        self.counts: dict[str, float] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        key = f"{name} {' '.join(labels.values())}"
        self.counts[key] = self.counts.get(key, 0) + amount


def test_a_disk_that_does_not_keep_up_costs_entries_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.ops.traces.recorder.QUEUE_ITEMS", 2)
    telemetry = Counted()
    recorder = CallRecorder(TraceSettings(path=None), telemetry=telemetry)
    for _ in range(5):
        recorder.add(named())
    assert telemetry.counts == {"trace_items_total dropped": 3}


def test_a_file_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    telemetry = Counted()
    recorder = CallRecorder(TraceSettings(path=tmp_path / "no" / "where"), telemetry=telemetry)
    recorder.start()
    recorder.add(Noted(entry=step(Kind.STATE, "ringing")))
    recorder.stop()
    assert telemetry.counts == {"trace_items_total failed": 1}
