"""States of a call, of its two legs, and the deadlines it can have."""

import enum


class Direction(enum.StrEnum):
    """Seen from Matrix."""

    OUTBOUND = "outbound"
    """A Matrix user calls a phone."""
    INBOUND = "inbound"
    """A phone calls a Matrix user."""


class State(enum.StrEnum):
    """Where a call is. Outbound and inbound share the states from CONNECTING on."""

    NEW = "new"
    """Nothing has happened yet."""
    HELD = "held"
    """Outbound: the invite is old; a hangup may follow in the same backlog."""
    PREPARING = "preparing"
    """Outbound: the media session is made and the SIP offer is written."""
    DIALLING = "dialling"
    """Outbound: INVITE sent, no final response yet."""
    EARLY_ANSWERING = "early_answering"
    """Outbound: the phone's side plays something before it is answered, the Matrix answer to that is being written."""
    EARLY = "early"
    """Outbound: the caller hears what the phone's side plays; no final response yet."""
    ANSWERING = "answering"
    """Outbound: the phone answered, the Matrix answer is being written."""

    LOCATING = "locating"
    """Inbound: the ghost and its room are found or made."""
    AWAITING_JOIN = "awaiting_join"
    """Inbound: the user has been invited to the room and rings as soon as they join."""
    OFFERING = "offering"
    """Inbound: the media session is made and the Matrix offer is written."""
    RINGING = "ringing"
    """Inbound: `m.call.invite` is sent, no device has answered."""
    HUNTING = "hunting"
    """Inbound: several users are rung, together or in turn; each has a state of its own (`calls/hunt.py`)."""
    ACCEPTING = "accepting"
    """Inbound: a device was selected, the SIP answer is being written."""

    REPLACED = "replaced"
    """Inbound: the user's client gave up our invite for a call of its own, which has not arrived yet."""
    ADOPTING = "adopting"
    """Calls crossed: the user's own call is being connected to the phone's call."""
    CONNECTING = "connecting"
    """Both sides are answered, ICE and DTLS are not up yet."""
    CONNECTED = "connected"
    """Audio can flow both ways."""
    TRANSFERRING = "transferring"
    """Another phone is called, because the phone asked for it; the call goes on meanwhile."""
    REPLACING = "replacing"
    """Another phone called in to take the phone's place, and is being answered."""
    HANDING_OVER = "handing_over"
    """The user has left the phone to another one, which it does not talk to yet."""
    FETCHING = "fetching"
    """A phone is called for another one that a user has left; there is no Matrix side."""
    JOINED = "joined"
    """The phone talks to that of another call; the user has left both."""
    ATTENDING = "attending"
    """Inbound: the bridge takes the call itself, and its answer to the phone is being written."""
    ATTENDED = "attended"
    """Inbound: the bridge has answered the phone, which may leave a message."""
    REFUSING = "refusing"
    """Outbound: there will be no call, and the answer with which its user is told so is being written."""
    TELLING = "telling"
    """The bridge speaks to the user, who has no phone on the line, or none any more."""
    IN_MENU = "in_menu"
    """Inbound: the bridge has answered the phone, which walks through a spoken menu."""
    ENDED = "ended"


ATTENDANT = frozenset((State.ATTENDING, State.ATTENDED))
"""Calls that nobody has taken, in which the phone leaves a message."""
USER_HAS_LEFT = frozenset((State.HANDING_OVER, State.FETCHING, State.JOINED, State.IN_MENU)) | ATTENDANT
"""Calls that go on without their user."""
SPOKEN_TO = frozenset((State.REFUSING, State.TELLING))
"""Calls of which nothing is left but what the user is told."""
USER_IS_FREE = USER_HAS_LEFT | SPOKEN_TO
"""Calls in whose room the user may be called, and from which they may call, as if they were over."""


class MatrixLeg(enum.StrEnum):
    """What the Matrix side has been told, so that it is told the end exactly once and in the right way."""

    NONE = "none"
    THEIRS = "theirs"
    """They invited us and have no answer: a refusal is `m.call.reject`."""
    OURS = "ours"
    """We invited them and no device has answered: giving up is `m.call.hangup`."""
    ANSWERED = "answered"
    ENDED = "ended"
    """They ended it; nothing more may be sent."""


class SipLeg(enum.StrEnum):
    """What the SIP side has been told."""

    NONE = "none"
    DIALLING = "dialling"
    """Our INVITE has no final response: giving up is CANCEL."""
    INCOMING = "incoming"
    """Their INVITE has no final response: refusing is a final response."""
    ESTABLISHED = "established"
    ENDED = "ended"


class Timer(enum.StrEnum):
    """Deadlines of a call; at most one of each kind runs."""

    BACKLOG = "backlog"
    EXPIRY = "expiry"
    """The Matrix invite, theirs or ours, is no longer valid."""
    PROGRESS = "progress"
    """The caller must hear a ringing tone by now: some trunks drop a call without 180 after 5 s."""
    CONNECT = "connect"
    """Audio should have come up by now, or the media session should have said that it cannot."""
    ANSWER = "answer"
    """Our answer should have been written by now, or the media session should have said that it cannot."""
    TRANSFER = "transfer"
    """The phone that is to take over should have answered by now."""
    FORMER = "former"
    """The phone that was replaced should have hung up by now."""
    MESSAGE = "message"
    """The phone should have left its message by now."""
    TELLING = "telling"
    """The user should have heard everything by now."""
    MENU = "menu"
    """The phone should have pressed a key by now."""
    WALK = "walk"
    """The phone should have reached somebody by now, or hung up."""
    GLARE = "glare"
    """Their client should have settled the crossing calls by now."""


class EndedBy(enum.StrEnum):
    """Which side ended the call."""

    MATRIX = "matrix"
    SIP = "sip"
    BRIDGE = "bridge"
