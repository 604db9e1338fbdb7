"""Every edge of the four transaction machines, as the figures of RFC 3261 and RFC 6026 have them."""

from typing import cast

import pytest

from bridge.sip.client_transaction import INVITE_CLIENT, NON_INVITE_CLIENT, ClientTransaction
from bridge.sip.message import Request, Response
from bridge.sip.server_transaction import INVITE_SERVER, NON_INVITE_SERVER, ServerTransaction
from bridge.sip.transaction import (
    AckReceived,
    Event,
    FailureReceived,
    FailureSent,
    LingeringEnded,
    Outputs,
    ProvisionalReceived,
    ProvisionalSent,
    RequestReceived,
    RetransmissionDue,
    SendMessage,
    SetTimer,
    State,
    SuccessReceived,
    SuccessSent,
    Tell,
    TimedOut,
    Timing,
    TransportFailed,
)

HEADERS = (
    ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtest"),
    ("From", "<sip:alice@example.org>;tag=a"),
    ("To", "<sip:bob@example.org>"),
    ("Call-ID", "one"),
)


def request(method: str) -> Request:
    return Request(method, "sip:bob@example.org", (*HEADERS, ("CSeq", f"7 {method}")))


def response(status: int, method: str) -> Response:
    return request(method).response(status, to_tag="b")


def event(name: str, method: str) -> Event:
    events: dict[str, Event] = {
        "1xx": ProvisionalReceived(response=response(180, method)),
        "2xx": SuccessReceived(response=response(200, method)),
        "300-699": FailureReceived(response=response(486, method)),
        "request": RequestReceived(request=request(method)),
        "ACK": AckReceived(request=request("ACK")),
        "send 1xx": ProvisionalSent(response=response(180, method)),
        "send 2xx": SuccessSent(response=response(200, method)),
        "send 300-699": FailureSent(response=response(486, method)),
        "retransmit": RetransmissionDue(),
        "timeout": TimedOut(),
        "lingered": LingeringEnded(),
        "transport": TransportFailed(),
    }
    return events[name]


def shown(outputs: Outputs) -> str:
    """Outputs in short: `A=1.0 again:INVITE tell:1xx`."""
    return " ".join(_shown(output) for output in outputs)


def _shown(output: SendMessage | SetTimer | Tell) -> str:
    match output:
        case SendMessage(message=message, again=again):
            name = message.method if isinstance(message, Request) else str(cast(Response, message).status)
            return f"{'again' if again else 'send'}:{name}"
        case SetTimer(timer=timer, after_s=after_s):
            return f"{timer.value}={after_s:g}"
        case Tell(event=told):
            return f"tell:{type(told).__name__}"


ROWS = {
    "INVITE client": """
        calling     retransmit  calling     again:INVITE A=1
        calling     timeout     terminated  tell:TimedOut
        calling     transport   terminated  tell:TransportFailed
        calling     1xx         proceeding  tell:ProvisionalReceived
        calling     2xx         accepted    M=32 tell:SuccessReceived
        calling     300-699     completed   send:ACK D=32 tell:FailureReceived
        proceeding  1xx         proceeding  tell:ProvisionalReceived
        proceeding  2xx         accepted    M=32 tell:SuccessReceived
        proceeding  300-699     completed   send:ACK D=32 tell:FailureReceived
        proceeding  transport   proceeding
        completed   300-699     completed   send:ACK
        completed   1xx         completed
        completed   transport   terminated
        completed   lingered    terminated
        accepted    2xx         accepted    tell:SuccessReceived
        accepted    1xx         accepted
        accepted    transport   accepted
        accepted    lingered    terminated
    """,
    "non-INVITE client": """
        trying      retransmit  trying      again:BYE E=1
        trying      timeout     terminated  tell:TimedOut
        trying      transport   terminated  tell:TransportFailed
        trying      1xx         proceeding  tell:ProvisionalReceived
        trying      2xx         completed   K=5 tell:SuccessReceived
        trying      300-699     completed   K=5 tell:FailureReceived
        proceeding  retransmit  proceeding  again:BYE E=4
        proceeding  timeout     terminated  tell:TimedOut
        proceeding  transport   terminated  tell:TransportFailed
        proceeding  1xx         proceeding  tell:ProvisionalReceived
        proceeding  2xx         completed   K=5 tell:SuccessReceived
        proceeding  300-699     completed   K=5 tell:FailureReceived
        completed   1xx         completed
        completed   2xx         completed
        completed   300-699     completed
        completed   transport   completed
        completed   lingered    terminated
    """,
    "INVITE server": """
        proceeding  request       proceeding
        proceeding  send_1xx      proceeding  send:180
        proceeding  send_2xx      accepted    send:200 L=32
        proceeding  send_300-699  completed   send:486 G=0.5 H=32
        completed   request       completed
        completed   retransmit    completed   G=1
        completed   ACK           confirmed   I=5
        completed   timeout       terminated
        confirmed   ACK           confirmed
        confirmed   request       confirmed
        confirmed   lingered      terminated
        accepted    request       accepted
        accepted    ACK           accepted    tell:AckReceived
        accepted    send_2xx      accepted    send:200
        accepted    lingered      terminated
    """,
    "non-INVITE server": """
        trying      request       trying
        trying      send_1xx      proceeding  send:180
        trying      send_2xx      completed   send:200 J=32
        trying      send_300-699  completed   send:486 J=32
        proceeding  request       proceeding
        proceeding  send_1xx      proceeding  send:180
        proceeding  send_2xx      completed   send:200 J=32
        proceeding  send_300-699  completed   send:486 J=32
        completed   request       completed
        completed   lingered      terminated
    """,
}

TABLES = {
    "INVITE client": (ClientTransaction, "INVITE", INVITE_CLIENT),
    "non-INVITE client": (ClientTransaction, "BYE", NON_INVITE_CLIENT),
    "INVITE server": (ServerTransaction, "INVITE", INVITE_SERVER),
    "non-INVITE server": (ServerTransaction, "BYE", NON_INVITE_SERVER),
}

EDGES = [(name, *line.split(maxsplit=3)) for name, rows in ROWS.items() for line in rows.strip().splitlines()]


def machine(name: str, state: str, *, reliable: bool = False) -> ClientTransaction | ServerTransaction:
    method = TABLES[name][1]
    kind: type[ClientTransaction | ServerTransaction]
    kind = ClientTransaction if "client" in name else ServerTransaction
    return kind(request(method), State[state.upper()], reliable=reliable, timing=Timing())


@pytest.mark.parametrize("edge", EDGES, ids=" ".join)
def test_an_edge_leads_where_the_figure_says(edge: tuple[str, ...]) -> None:
    name, state, happening, target, *rest = edge
    subject = machine(name, state)
    outputs: Outputs = []
    assert subject.handle(event(happening.replace("_", " "), TABLES[name][1]), outputs)
    assert subject.state is State[target.upper()]
    assert shown(outputs) == "".join(rest)


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_have_no_other_edges(name: str) -> None:
    assert len(TABLES[name][2]) == sum(edge[0] == name for edge in EDGES)


@pytest.mark.parametrize("name", TABLES)
def test_what_is_in_no_figure_changes_nothing(name: str) -> None:
    _, method, table = TABLES[name]
    for state in State:
        for happening in (event(key, method) for key in _KEYS):
            if (state, type(happening)) not in table:
                subject = machine(name, state.name)
                outputs: Outputs = []
                assert not subject.handle(happening, outputs)
                assert (subject.state, outputs) == (state, [])


_KEYS = (
    *("1xx", "2xx", "300-699", "request", "ACK", "send 1xx", "send 2xx", "send 300-699"),
    *("retransmit", "timeout", "lingered", "transport"),
)


def test_an_invite_is_repeated_after_doubling_intervals() -> None:
    subject = machine("INVITE client", "calling")
    intervals = [_interval(subject) for _ in range(6)]
    assert intervals == [1, 2, 4, 8, 16, 32]


def test_other_requests_are_repeated_after_intervals_up_to_t2() -> None:
    subject = machine("non-INVITE client", "trying")
    assert [_interval(subject) for _ in range(5)] == [1, 2, 4, 4, 4]


def test_a_final_response_to_an_invite_is_repeated_after_intervals_up_to_t2() -> None:
    subject = machine("INVITE server", "proceeding")
    subject.handle(event("send 300-699", "INVITE"), [])
    assert [_interval(subject) for _ in range(5)] == [1, 2, 4, 4, 4]


def _interval(subject: ClientTransaction | ServerTransaction) -> float:
    outputs: Outputs = []
    subject.handle(RetransmissionDue(), outputs)
    return next(output.after_s for output in outputs if isinstance(output, SetTimer))


def test_a_retransmitted_request_gets_the_newest_response_again() -> None:
    for name, method in (("INVITE server", "INVITE"), ("non-INVITE server", "BYE")):
        subject = machine(name, "proceeding")
        outputs: Outputs = []
        subject.handle(event("send 1xx", method), [])
        subject.handle(event("request", method), outputs)
        assert shown(outputs) == "again:180"
        subject.handle(event("send 300-699", method), [])
        outputs.clear()
        subject.handle(event("request", method), outputs)
        assert shown(outputs) == "again:486"


@pytest.mark.parametrize(
    ("name", "state", "happening", "expected"),
    [
        ("INVITE client", "proceeding", "300-699", "send:ACK D=0 tell:FailureReceived"),
        ("INVITE client", "proceeding", "2xx", "M=32 tell:SuccessReceived"),
        ("non-INVITE client", "trying", "2xx", "K=0 tell:SuccessReceived"),
        ("INVITE server", "proceeding", "send 300-699", "send:486 H=32"),
        ("INVITE server", "completed", "ACK", "I=0"),
        ("INVITE server", "proceeding", "send 2xx", "send:200 L=32"),
        ("non-INVITE server", "trying", "send 2xx", "send:200 J=0"),
    ],
)
def test_over_a_reliable_transport_nothing_is_repeated_and_nothing_lingers(
    name: str, state: str, happening: str, expected: str
) -> None:
    subject = machine(name, state, reliable=True)
    outputs: Outputs = []
    subject.handle(event(happening, TABLES[name][1]), outputs)
    assert shown(outputs) == expected


def test_a_client_transaction_starts_its_timers() -> None:
    for name, reliable, expected in (
        ("INVITE client", False, "B=32 A=0.5 send:INVITE"),
        ("INVITE client", True, "B=32 send:INVITE"),
        ("non-INVITE client", False, "F=32 E=0.5 send:BYE"),
        ("non-INVITE client", True, "F=32 send:BYE"),
    ):
        subject = machine(name, "calling" if name.startswith("INVITE") else "trying", reliable=reliable)
        assert isinstance(subject, ClientTransaction)
        outputs: Outputs = []
        subject.start(outputs)
        assert shown(outputs) == expected


def test_the_ack_of_a_failure_repeats_what_identifies_the_invite() -> None:
    invite = request("INVITE")
    invite.headers.add("Route", "<sip:proxy.example.org;lr>")
    subject = ClientTransaction(invite, State.CALLING, reliable=False, timing=Timing())
    outputs: Outputs = []
    subject.handle(FailureReceived(response=response(486, "INVITE")), outputs)
    ack = next(output.message for output in outputs if isinstance(output, SendMessage))
    assert isinstance(ack, Request)
    assert ack.via == invite.via
    assert ack.to.tag == "b"
    assert (ack.from_, ack.call_id, ack.uri_text) == (invite.from_, invite.call_id, invite.uri_text)
    assert str(ack.cseq) == "7 ACK"
    assert ack.headers.get("Route") == "<sip:proxy.example.org;lr>"
