"""Who calls, as a trunk is told (RFC 3261 §8.1.1.3, RFC 3323 §4.1, RFC 3325 §9)."""

from dataclasses import dataclass

from bridge.sip.events import OutgoingCall, OutgoingText
from bridge.sip.fields import NameAddr
from bridge.sip.identity import ANONYMOUS_HOST, ANONYMOUS_USER
from bridge.sip.number_forms import written
from bridge.sip.settings import FromUser, IdentityHeader
from bridge.sip.trunks import TrunkState
from bridge.sip.uri import SipUri


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerFields:
    """The caller of one call, or the sender of one text message, to one trunk."""

    call: OutgoingCall | OutgoingText
    state: TrunkState

    def from_(self, tag: str) -> NameAddr:
        """From: what the called party sees where nothing better is believed; anonymous when it must not see it."""
        if self._is_anonymous:
            return NameAddr("Anonymous", SipUri("sip", ANONYMOUS_USER, None, ANONYMOUS_HOST), {"tag": tag})
        uri = self._uri
        if self.state.trunk.from_user is FromUser.ACCOUNT and self.state.register_user:
            uri = self.state.own_uri(self.state.register_user)
        return NameAddr(self._name, uri, {"tag": tag})

    def identities(self) -> list[tuple[str, str]]:
        """The identity headers that the trunk wants; a caller who is unknown asserts nothing."""
        privacy = [("Privacy", "id")] if self._is_anonymous else []
        if not self.call.caller:
            return privacy
        return privacy + [self._identity(kind) for kind in self.state.trunk.identity_headers]

    @property
    def _is_anonymous(self) -> bool:
        return self.call.withheld or not self.call.caller

    @property
    def _name(self) -> str:
        return self.call.caller_name if self.state.trunk.send_names else ""

    @property
    def _uri(self) -> SipUri:
        return self.state.own_uri(written(self.call.caller, self.state.trunk))

    def _identity(self, kind: IdentityHeader) -> tuple[str, str]:
        address = NameAddr(self._name, self._uri)
        match kind:
            case IdentityHeader.ASSERTED:
                return "P-Asserted-Identity", str(address)
            case IdentityHeader.PREFERRED:
                return "P-Preferred-Identity", str(address)
            case IdentityHeader.REMOTE_PARTY_ID:
                privacy = "full" if self.call.withheld else "off"
                return "Remote-Party-ID", f"{address};party=calling;screen=yes;privacy={privacy}"
