"""What a user agent can be handed: what came from the network, and what its user wants."""

from dataclasses import dataclass

from bridge.core.ids import DialogKey, TrunkName
from bridge.sip.actions import NetworkInput
from bridge.sip.events import OutgoingCall
from bridge.sip.keypad import DigitAsked
from bridge.sip.referral_commands import ReferralCommand
from bridge.sip.revival import Revive
from bridge.sip.texts import AnswerText, SendText
from bridge.sip.trunk_changes import ChangeTrunks
from bridge.sip.usage_commands import UsageCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Register with the trunks and watch them, as far as that has not begun yet."""

    trunk: TrunkName | None = None
    """Only with this one: the others may not have been looked for in the DNS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Hang up, and take all registrations back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceCall:
    """Send an INVITE; events of the call carry `dialog`."""

    dialog: DialogKey
    call: OutgoingCall


DialogCommand = UsageCommand | ReferralCommand | DigitAsked


@dataclass(frozen=True, slots=True, kw_only=True)
class Steer:
    """A command for one call, or for what goes on in its dialog."""

    dialog: DialogKey
    command: DialogCommand


Input = NetworkInput | Start | Stop | PlaceCall | Revive | Steer | SendText | AnswerText | ChangeTrunks
