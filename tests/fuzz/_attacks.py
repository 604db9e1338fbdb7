"""Inputs made to keep a parser busy: every atom of the grammar repeated to 64 kB, against every regular expression of
`bridge.sip` and, as headers and bodies, against a user agent that reads them all."""

import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import bridge.sip
from bridge.sip.digest import Challenge
from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.fields import CSeq, NameAddr, Via
from bridge.sip.grammar import parse_params, quote, split_list, unquote
from bridge.sip.headers import _KNOWN
from bridge.sip.uri import parse_uri
from bridge.sip.usage_commands import AcceptAsked
from tests.sip.samples import SDP, request
from tests.sip.scripted_peer import Scripted, peer_request, trunk

LENGTH = 65_000
LINE = 8_000
COPIES = 7
"""Of one header; together they fill a message."""

ATOMS = (
    *(" ", "\t", "a", "1", "0", ";", ",", "=", ":", "@", ".", "-", "%", "%41", "<", ">", "[", "]", "?", "&", "/", "("),
    *('"', "\\", '\\"', '"a"', "a=", "a;", "a,", "a=b;", "a=b,", '"a",', "<a>,", "a.", "1.", "::", "1:", "a ", "a\t "),
    *("\r\n ", "\r\na: b", "\r\n", "\n", "\r", "\0", "\u00e9", "sip:", "sip:a@b;", "SIP/2.0", "Digest a=b,", "--x\r\n"),
)
PREFIXES = ("", "a", '"', "<sip:", "SIP/2.0 200 ", "INVITE sip:a", 'a="')
BODY_KINDS = (
    *("application/sdp", "multipart/mixed;boundary=x", "application/dtmf-relay", "application/dtmf", "message/sipfrag"),
)
END = "\x01"
"""Matches nothing: whatever was matched has to be given back."""

_USE = re.compile(r"\b(_?[A-Z][A-Z0-9_]*)\.(search|fullmatch|match|findall|sub|split)\(")

Attack = tuple[str, Callable[[], object]]


def slowest(attacks: Iterator[Attack], *, suspicious_s: float) -> tuple[float, str]:
    """The longest time and what took it; what looks slow is tried again, for it may have been a neighbour's fault."""
    worst, name = 0.0, ""
    for title, attack in attacks:
        took = _time(attack)
        if took > suspicious_s:
            took = min(took, _time(attack), _time(attack))
        if took > worst:
            worst, name = took, title
    return worst, name


def _time(attack: Callable[[], object]) -> float:
    start = time.process_time()
    attack()
    return time.process_time() - start


def on_expressions(atoms: tuple[str, ...] = ATOMS) -> Iterator[Attack]:
    """Each compiled expression, in each way that its module uses it."""
    for module in pkgutil.iter_modules(bridge.sip.__path__):
        if module.ispkg:
            continue
        loaded = importlib.import_module(f"bridge.sip.{module.name}")
        source = Path(loaded.__file__ or "").read_text()
        for name, way in sorted(set(_USE.findall(source))):
            pattern = getattr(loaded, name, None)
            if isinstance(pattern, re.Pattern):
                yield from _on_expression(f"{module.name}.{name}.{way}", pattern, way, atoms)


def _on_expression(title: str, pattern: re.Pattern[Any], way: str, atoms: tuple[str, ...]) -> Iterator[Attack]:
    for prefix in PREFIXES:
        for atom in atoms:
            text = prefix + atom * ((LENGTH - len(prefix)) // len(atom)) + END
            subject = text.encode() if isinstance(pattern.pattern, bytes) else text
            yield f"{title} {prefix!r}+{atom!r}", partial(_apply, pattern, way, subject)


def _apply(pattern: re.Pattern[Any], way: str, subject: Any) -> None:
    match way:
        case "sub":
            pattern.sub(subject[:0], subject)
        case _:
            getattr(pattern, way)(subject)


def on_functions(atoms: tuple[str, ...] = ATOMS) -> Iterator[Attack]:
    """What takes a text apart, by itself: without the limits of a message around it."""
    parsers: tuple[Callable[[str], object], ...] = (
        *(split_list, parse_params, unquote, quote, NameAddr.parse, Via.parse, CSeq.parse, parse_uri),
        lambda text: Challenge.parse_all([text]),
    )
    for number, parse in enumerate(parsers):
        title = getattr(parse, "__qualname__", str(number))
        for prefix in (*PREFIXES, "<sip:a@b>;", "SIP/2.0/UDP a;", "sip:a@b;", "sip:a@b?"):
            for atom in atoms:
                text = prefix + atom * (LENGTH // len(atom)) + END
                yield f"{title} {prefix!r}+{atom!r}", partial(_try, parse, text)


def _try(parse: Callable[[str], object], text: str) -> None:
    with suppress(SipError, LocalSipError):
        parse(text)


def on_headers(atoms: tuple[str, ...] = ATOMS) -> Iterator[Attack]:
    """Each header that we know, in a request of a new call, and in an answer to a call of ours."""
    for name in _KNOWN.split():
        for atom in atoms:
            for prefix in ("", "<sip:a@b>", 'Digest realm="lab",nonce="n",'):
                lines = (f"{name}: {prefix}{atom * (LINE // len(atom))}{END}",) * COPIES
                yield f"{name}: {prefix}{atom!r}", partial(_receive, lines)


def _receive(lines: tuple[str, ...]) -> None:
    peer = Scripted(trunk(auth="digest"))  # type: ignore[arg-type]
    peer._take = lambda action: None  # type: ignore[method-assign]
    peer.receive(request(lines=lines[:1], body=SDP))
    peer.receive(request(changes={"Call-ID": "more", "From": "<sip:c@d>;tag=2"}, lines=lines, body=SDP))


def on_bodies(atoms: tuple[str, ...] = ATOMS) -> Iterator[Attack]:
    """Bodies of each kind that is read, inside a call."""
    for kind in BODY_KINDS:
        for atom in atoms:
            for method in ("INVITE", "UPDATE", "INFO", "NOTIFY"):
                body = atom * (60_000 // len(atom)) + END
                yield f"{method} {kind} {atom!r}", partial(_inside, method, kind, body)


def _inside(method: str, kind: str, body: str) -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP.decode()))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP.decode()))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"))
    fields = (("Content-Type", kind), ("Event", "refer"), ("Subscription-State", "active"))
    peer.receive(peer_request(method, cseq=2, branch="two", to_tag=tag, sdp=body, fields=fields))
