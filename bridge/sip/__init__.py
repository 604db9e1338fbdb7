"""The SIP protocol (RFC 3261), sans-IO: bytes and time in, messages and actions out."""

from bridge.sip.digest import Challenge
from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.fields import CSeq, NameAddr, Via
from bridge.sip.framer import KeepAlive, StreamFramer
from bridge.sip.headers import Headers
from bridge.sip.message import Message, Request, Response
from bridge.sip.parser import parse_message
from bridge.sip.status import reason_phrase
from bridge.sip.uri import OtherUri, SipUri, TelUri, Uri, parse_any_uri, parse_uri

__all__ = [
    "CSeq",
    "Challenge",
    "Headers",
    "KeepAlive",
    "LocalSipError",
    "Message",
    "NameAddr",
    "OtherUri",
    "Request",
    "Response",
    "SipError",
    "SipUri",
    "StreamFramer",
    "TelUri",
    "Uri",
    "Via",
    "parse_any_uri",
    "parse_message",
    "parse_uri",
    "reason_phrase",
]
