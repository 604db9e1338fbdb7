"""The registration file: what the homeserver must know about us."""

import re
from typing import Any

import yaml

from bridge.matrix.settings import MatrixSettings
from bridge.matrix.thirdparty import PROTOCOLS, SIP_NATIVE, SIP_VIRTUAL


def registration(settings: MatrixSettings) -> dict[str, Any]:
    """The content of `registration.yaml` (Application Service API, "Registration")."""
    url = settings.appservice_url or f"http://{settings.listen_host}:{settings.listen_port}"
    users = f"@{re.escape(settings.ghost_prefix)}.*:{re.escape(settings.server_name)}"
    return {
        "id": settings.appservice_id,
        "url": url,
        "as_token": settings.as_token,
        "hs_token": settings.hs_token,
        "sender_localpart": settings.bot_localpart,
        # By default Synapse lets a ghost send one message in five seconds: a call would not get through.
        "rate_limited": False,
        "namespaces": {"users": [{"exclusive": True, "regex": users}], "aliases": [], "rooms": []},
        "protocols": [*PROTOCOLS, *((SIP_VIRTUAL, SIP_NATIVE) if settings.sip_lookups else ())],
        **_ephemeral(settings.presence),
    }


def _ephemeral(wanted: bool) -> dict[str, bool]:
    """What concerns no room, as presence; older versions of Synapse know the second name only (MSC2409)."""
    return {"receive_ephemeral": wanted, **({"de.sorunome.msc2409.push_ephemeral": True} if wanted else {})}


def puppet_registration(settings: MatrixSettings) -> dict[str, Any]:
    """A second registration, for acting as local users.

    It has no `url`, so that the homeserver does not send us the events of every room that any of them is in.
    """
    return {
        "id": f"{settings.appservice_id}-puppets",
        "url": None,
        "as_token": settings.puppet_token,
        # Nobody ever shows it to us; it must be there, and not be guessed where a later version would use it.
        "hs_token": settings.puppet_token,
        "sender_localpart": f"{settings.bot_localpart}_puppets",
        "rate_limited": False,
        "namespaces": {
            "users": [{"exclusive": False, "regex": f"@.*:{re.escape(settings.server_name)}"}],
            "aliases": [],
            "rooms": [],
        },
    }


def puppet_registration_yaml(settings: MatrixSettings) -> str:
    """The second file."""
    return yaml.safe_dump(puppet_registration(settings), sort_keys=False)


def registration_yaml(settings: MatrixSettings) -> str:
    """The file itself."""
    return yaml.safe_dump(registration(settings), sort_keys=False)
