"""Another configuration of the trunks while calls go on: which come, which go, and what holds from the next call on."""

from dataclasses import dataclass, replace

from bridge.sip.settings import Trunk, TrunkAuth

_DETAILS = frozenset(
    {
        *("failover_after_s", "large_by_tcp", "follow_redirects", "sources", "from_domain", "from_user"),
        *("number_format", "number_prefix", "dial_rules", "user_phone", "identity_headers", "send_names"),
        *("trust_identity", "diversion_header", "headers", "max_calls", "max_calls_per_s", "max_incoming_per_s"),
        *("accept_transfers", "texts", "dtmf", "options_misses", "options_recoveries", "reliable"),
        *("session_timer", "session_expires_s", "min_se_s"),
    }
)
"""Settings that are looked up for each request or call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeTrunks:
    """These are the trunks from now on, in this order, and these the numbers that no limit stops."""

    trunks: tuple[Trunk, ...]
    emergency: frozenset[str]


def is_another(before: Trunk, after: Trunk) -> bool:
    """Whether a trunk has to be left and begun anew: another server, account or way there, or other upkeep."""
    return replace(before, **{name: getattr(after, name) for name in _DETAILS}) != after


def has_same_servers(before: Trunk, after: Trunk) -> bool:
    """Whether the DNS would say the same of both."""
    places = ((trunk.host, trunk.port, trunk.transport, trunk.dns) for trunk in (before, after))
    return len(set(places)) == 1


def takes_binding(before: Trunk, after: Trunk) -> bool:
    """Whether the registration of one replaces that of the other, which must not be taken back then: calls keep coming.

    It does by the same contact (RFC 3261 §10.3), or by the instance (RFC 5626 §6).
    """
    accounts = (
        (trunk.auth, trunk.host, trunk.domain, trunk.register_user or trunk.username) for trunk in (before, after)
    )
    if TrunkAuth.REGISTER not in (before.auth, after.auth) or len(set(accounts)) != 1:
        return False
    return has_same_servers(before, after) or before.instance == after.instance != ""
