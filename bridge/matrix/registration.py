"""The registration file: what the homeserver must know about us."""

import re
from typing import Any

import yaml

from bridge.matrix.settings import MatrixSettings
from bridge.matrix.thirdparty import PROTOCOLS


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
        "protocols": list(PROTOCOLS),
        "receive_ephemeral": False,
    }


def registration_yaml(settings: MatrixSettings) -> str:
    """The file itself."""
    return yaml.safe_dump(registration(settings), sort_keys=False)
