"""Identifiers as distinct types, so that one kind cannot be passed for another."""

from typing import NewType

CallId = NewType("CallId", str)
"""Trunkline's own name of a call: unique across nodes, on every log line and call record of that call."""

MatrixCallId = NewType("MatrixCallId", str)
"""`call_id` of the `m.call.*` events; opaque, at most 255 characters."""

SipCallId = NewType("SipCallId", str)
"""Call-ID header of a SIP dialog (RFC 3261 §20.8)."""

DialogKey = NewType("DialogKey", str)
"""Trunkline's handle of one SIP invite usage, from INVITE to BYE, stable over forks and re-INVITEs."""

TextKey = NewType("TextKey", str)
"""Trunkline's handle of one text message on the SIP side, from its request to the answer."""

RoomId = NewType("RoomId", str)
UserId = NewType("UserId", str)
EventId = NewType("EventId", str)

PartyId = NewType("PartyId", str)
"""Which device of a user takes part in a Matrix call (specification, VoIP, `party_id`)."""

TrunkName = NewType("TrunkName", str)
GroupName = NewType("GroupName", str)
MenuName = NewType("MenuName", str)
E164 = NewType("E164", str)
"""A telephone number in canonical form: `+` and 2 to 15 digits (ITU-T E.164), or a short code of digits only."""
