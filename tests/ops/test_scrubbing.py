"""Whatever a log line says, and under whatever key, it names nobody; what leads to other lines stays readable."""

import dataclasses
import enum
import io
import json
from typing import Any

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.core.pii import Pii
from bridge.ops.scrubbing import scrub, without_host, without_people
from tests.ops.test_logs import lines, logging_to

NUMBER = "+15550100"


@pytest.mark.parametrize(
    ("text", "persons"),
    [
        ("+493090182000 @a:e.org", ["493090182000", "@a", "e.org"]),
        ("no route to 493090182000 today", ["493090182000"]),
        ("00493090182000", ["3090182000"]),
        ("dialled 030 90182000", ["90182000"]),
        ("+49 30 901820 rings", ["901820"]),
        ("+1 (555) 010-0199.", ["010-0199"]),
        ("_sip_+15550100", ["15550100"]),
        ("@_sip_+15550100:example.org: forbidden", ["15550100", "example"]),
        ("@alice:[2001:db8::1]:8448", ["alice", "2001:db8"]),
        ("/profile/%40_sip_%2B15550100%3Aexample.org/x", ["15550100", "example"]),
        ("?user_id=%40alice%3Aexample.org&limit=1", ["alice", "example"]),
        ("<sip:alice@example.net>", ["alice", "example.net"]),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20", ["WVNf", "bGVz"]),
        ("SIPS:15550@example.net;transport=tcp", ["15550", "example.net"]),
        ("tel:030-1234", ["030-1234"]),
        ("alice@example.net", ["alice", "example.net"]),
        ("Cannot connect to host 192.0.2.7:8008 [refused]", ["192.0.2.7"]),
        ("192.0.2.7.", ["192.0.2.7"]),
        ("[2001:db8::1]:5060", ["2001:db8"]),
        ("udp:2001:db8::1", ["2001:db8"]),
        ("2001:db8::1: refused", ["2001:db8"]),
        ("2001:DB8:0:0:0:0:192.0.2.7", ["2001:DB8", "192.0.2.7"]),
        ("fe80::1%eth0", ["fe80::1"]),
        ("::ffff:192.0.2.7", ["ffff", "192.0.2.7"]),
        ("at 12:30:192.0.2.7", ["192.0.2.7"]),
        ("at 12:30:493090182000", ["493090182000"]),
    ],
)
def test_what_identifies_people_is_hashed(text: str, persons: list[str]) -> None:
    cleaned = without_people(text)
    assert "[redacted#" in cleaned
    assert [person for person in persons if person in cleaned] == []


@pytest.mark.parametrize(
    "text",
    [
        "call_ended",
        "M_LIMIT_EXCEEDED (429)",
        "04:32:58.123456",
        "2026-11-25T04:32:58.123456Z",
        "0.1234567",
        "libopus 1.6.1",
        "<object at 0x7f1234567890>",
        "std::vector",
        "00:1A:2B:3C:4D:5E",
        "@property",
        "sip: nothing",
        'File "/usr/lib/python3.11/asyncio/base_events.py", line 1936, in _run_once',
    ],
)
def test_what_identifies_nobody_stays(text: str) -> None:
    assert without_people(text) == text


def test_a_number_has_one_hash_in_whatever_way_it_is_written() -> None:
    assert without_people("+1 (555) 01-00") == without_people(NUMBER) == str(Pii(NUMBER))


@pytest.mark.parametrize(
    ("sip_call_id", "template", "persons"),
    [
        ("7GmTGQ78Ogafej8rDKnMhuhg", "7GmTGQ78Ogafej8rDKnMhuhg", []),
        ("1-8263@192.0.2.7", "1-8263@{}", ["192.0.2.7"]),
        ("0_2823743@sip.example.net", "0_2823743@{}", ["sip.example.net"]),
        ("12345678-192.0.2.7", "12345678-{}", ["192.0.2.7"]),
        ("+15550100_1@a.b", "{}_1@{}", [NUMBER, "a.b"]),
    ],
)
def test_a_sip_call_id_keeps_its_random_part_and_no_address(
    sip_call_id: str, template: str, persons: list[str]
) -> None:
    shown = template.format(*map(Pii, persons))
    assert without_host(sip_call_id) == shown
    assert scrub(None, "info", {"sip_call_id": sip_call_id}) == {"sip_call_id": shown}


class Colour(enum.StrEnum):
    RED = "red"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    text: str


def test_every_value_is_searched_nested_and_foreign_ones_too() -> None:
    error = OSError(f"cannot reach {NUMBER}")
    event: dict[str, Any] = {
        "event": f"said {NUMBER}",
        "detail": f"about {NUMBER}",
        "error": error,
        "note": Note(text=NUMBER),
        "raw": NUMBER.encode(),
        "items": [NUMBER, (NUMBER, {NUMBER})],
        "members": {NUMBER: {"deeper": NUMBER}},
        "colour": Colour.RED,
        "status": 404,
        "none": None,
        "person": Pii(NUMBER),
    }
    cleaned = scrub(None, "info", event)
    assert "5550100" not in repr(cleaned)
    assert (cleaned["colour"], cleaned["status"], cleaned["none"]) == ("red", 404, None)
    assert cleaned["person"] == Pii(NUMBER)


def test_identifiers_and_what_the_operator_chose_are_left_alone() -> None:
    event = {
        "call_id": "4930901820001234567",
        "matrix_call_id": "1732509178123abc",
        "room_id": "!4930901820:example.org",
        "event_id": "$4930901820",
        "txn_id": "4930901820",
        "trunk": "line-4930901820",
        "time": "2026-11-25T04:32:58.123456Z",
        "host": "192.0.2.7",
    }
    assert scrub(None, "info", dict(event)) == event


def test_what_is_huge_or_deep_is_cut() -> None:
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    cleaned = scrub(None, "info", {"deep": deep, "wide": list(range(10_000)), "long": "x" * 1_000_000})
    assert len(json.dumps(cleaned)) < 20_000


def test_the_line_that_is_written_names_nobody() -> None:
    """The whole way, as JSON and for people; the third is what a library says."""
    for as_json in (True, False):
        stream = io.StringIO()
        with logging_to(stream, as_json=as_json):
            log = structlog.get_logger()
            log.info("media_refused", detail=f"{NUMBER} @a:e.org 192.0.2.7 2001:db8::1 493090182000")
            log.info("call_started", sip_call_id="1-2@192.0.2.7", people=[{"who": "@a:e.org"}])
        text = stream.getvalue()
        assert len(text.splitlines()) == 2
        assert not any(person in text for person in ("5550100", "e.org", "192.0.2.7", "2001:db8", "3090182000"))


def test_a_line_of_json_stays_one_line_of_json() -> None:
    stream = io.StringIO()
    with logging_to(stream):
        structlog.get_logger().info("x", error=ValueError("a\nb"), members={1: object}, deep=[[[[[[[1]]]]]]])
    [line] = lines(stream)
    assert line["error"] == "a\nb"


people = st.one_of(
    st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True),
    st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).filter(lambda address: not address.is_unspecified).map(str),
    st.from_regex(r"@[a-z][a-z0-9._=-]{0,20}:[a-z]{1,10}\.org", fullmatch=True),
)
words = st.sampled_from(["", "cannot call", "403 for", "(", "from", "<", "no:", "'", "x="])
ends = st.sampled_from(["", " now", ")", ">", "'", ",", ": refused"])


@given(words, people, ends)
@example("no:", "::1", "")
def test_no_person_survives_in_any_sentence(before: str, person: str, after: str) -> None:
    cleaned = without_people(f"{before} {person}{after}")
    assert person not in cleaned


@given(st.text(alphabet="0123456789+:.@%abcdef _-/()\n", max_size=300))
def test_what_is_hashed_is_not_hashed_again(text: str) -> None:
    """Else a number would look different in lines that take different ways."""
    once = without_people(f"{text} {Pii(text)}")
    assert once.endswith(str(Pii(text)))


def test_call_ids_that_are_made_of_numbers_do_not_show_them() -> None:
    line = scrub(None, "info", {"sip_call_id": "15550187@10.1.2.3", "matrix_call_id": "+15550185"})
    assert "15550187" not in str(line)
    assert "15550185" not in str(line)


def test_the_call_ids_of_real_clients_stay_as_they_are() -> None:
    ids = {"matrix_call_id": "1795341941987Gwfu7AJGBoKJiL9Z", "sip_call_id": "3c26722ce5e2-lq1a4k"}
    assert scrub(None, "info", dict(ids)) == ids
