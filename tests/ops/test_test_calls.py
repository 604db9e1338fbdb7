"""What a test call has shown, how it is asked for, and how it is told."""

import json
from dataclasses import replace

import pytest

from bridge.core.verdict import Result
from bridge.ops.test_calls.judging import Facts, Outcome, judge
from bridge.ops.test_calls.report import Step, TestReport, TestWish, Way, WishError

TALK = Facts(
    result=Result.SUCCESS,
    reason="completed",
    answered=True,
    connected=True,
    packets_from_phone=400,
    audible=300,
    packets_to_phone=400,
)
REFUSED = Facts(result=Result.POLICY, reason="not_permitted", answered=False, connected=False)


@pytest.mark.parametrize(
    ("facts", "outcome", "words"),
    [
        (replace(TALK, own_tone=200), Outcome.BOTH_WAYS, "came back"),
        (replace(TALK, lost_to_phone=0), Outcome.BOTH_WAYS, "reports that our packets arrive"),
        (replace(TALK, lost_to_phone=100), Outcome.BOTH_WAYS, "arrive"),
        (TALK, Outcome.UNPROVEN, "does not say"),
        (replace(TALK, own_tone=3), Outcome.UNPROVEN, "does not say"),
        (replace(TALK, lost_to_phone=390), Outcome.ONE_WAY, "does not arrive"),
        (replace(TALK, audible=0, lost_to_phone=0), Outcome.ONE_WAY, "nothing but silence"),
        (replace(TALK, audible=0, packets_from_phone=0, lost_to_phone=0), Outcome.ONE_WAY, "sends nothing"),
        (replace(TALK, audible=0), Outcome.NO_AUDIO, "nothing but silence"),
        (replace(TALK, audible=0, packets_from_phone=0), Outcome.NO_AUDIO, "sends nothing"),
        (replace(TALK, connected=False), Outcome.NO_AUDIO, "between a client and the bridge"),
        (REFUSED, Outcome.REFUSED, "not_permitted"),
        (replace(REFUSED, result=Result.CLIENT, reason="busy"), Outcome.NOT_ANSWERED, "busy"),
        (replace(REFUSED, result=Result.UPSTREAM, reason="trunk_failure"), Outcome.FAILED, "trunk_failure"),
        (replace(REFUSED, result=Result.SERVER, reason="media_exhausted"), Outcome.FAILED, "media_exhausted"),
    ],
)
def test_nothing_is_claimed_that_was_not_seen(facts: Facts, outcome: Outcome, words: str) -> None:
    judged, sentence = judge(facts)
    assert judged is outcome
    assert words in sentence


def test_each_outcome_has_an_exit_code_of_its_own() -> None:
    codes = [outcome.exit_code for outcome in Outcome]
    assert codes[0] == 0
    assert len(set(codes)) == len(codes)
    assert not {1, 2} & set(codes)


def test_a_wish_is_read_within_limits() -> None:
    assert TestWish.parse({"number": "+15550100"}) == TestWish(number="+15550100")
    assert TestWish.parse({"number": "1", "seconds": 2, "trunk": "a"}) == TestWish(number="1", seconds=2.0, trunk="a")


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"number": 1},
        {"number": "1", "trunk": None},
        {"number": "1", "seconds": 0},
        {"number": "1", "seconds": True},
        {"number": "1", "seconds": float("nan")},
        {"number": "1", "ring_s": 1e6},
        {"number": "1", "user": "@a:b"},
    ],
)
def test_anything_else_is_no_wish(document: object) -> None:
    with pytest.raises(WishError):
        TestWish.parse(document)


REPORT = TestReport(
    outcome=Outcome.ONE_WAY,
    words="one-way: the phone is heard, and reports that what we send does not arrive",
    call_id="abc",
    trunk="second",
    tried=("first",),
    result="success",
    reason="completed",
    sip_status=200,
    answered_s=1.0,
    connected_s=1.2,
    transport="tls",
    srtp=True,
    from_phone=Way(codec="PCMA", packets=400, lost=2, jitter_ms=3.04, level_dbfs=-20.0, mos=4.2),
    to_phone=Way(codec="PCMA", packets=400),
    steps=(Step(at_s=0.1, what="-> INVITE"), Step(at_s=1.0, what="<- 200 OK (INVITE)")),
)


def test_a_report_survives_json() -> None:
    document = json.loads(REPORT.to_json())
    assert document["exit_code"] == 4
    assert TestReport.from_document(document) == REPORT


def test_a_report_reads_well() -> None:
    assert list(REPORT.lines()) == [
        "   0.10 s  -> INVITE",
        "   1.00 s  <- 200 OK (INVITE)",
        "",
        "call         abc",
        "trunk        second (after first), signalling over tls",
        "encryption   SRTP towards the phone, DTLS-SRTP towards the client",
        "from phone   PCMA, 400 packets, 2 lost, jitter 3.0 ms, level -20.0 dBFS, MOS 4.20",
        "to phone     PCMA, 400 packets, loss not told, silence",
        "outcome      one_way: one-way: the phone is heard, and reports that what we send does not arrive",
    ]


def test_what_was_not_answered_says_nothing_of_audio() -> None:
    told = "\n".join(replace(REPORT, outcome=Outcome.NOT_ANSWERED, answered_s=None, trunk="").lines())
    assert "encryption" not in told
    assert "trunk" not in told
