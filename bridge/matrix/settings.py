"""What the Matrix side must be told."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixSettings:
    """The application service and its homeserver."""

    homeserver_url: str
    server_name: str
    appservice_id: str = "trunkline"
    listen_host: str = "127.0.0.1"
    listen_port: int = 29330
    """0 takes a free one."""
    appservice_url: str = ""
    """Where the homeserver reaches us; empty is `http://listen_host:listen_port`."""
    as_token: str = field(repr=False)
    hs_token: str = field(repr=False)
    bot_localpart: str = "_sip_bot"
    ghost_prefix: str = "_sip_"
    """A ghost is `@<prefix><number>:<server_name>`, `@_sip_+15550100:example.org`."""
    avatar: str = ""
    """The picture of all ghosts, an `mxc:` URI."""
    request_timeout_s: float = 15.0
    sip_lookups: bool = False
    """Answer which person is behind an extension and which extension a person has."""
    presence: bool = False
    """Have the homeserver tell us whether users are there."""
    puppet_token: str = field(default="", repr=False)
    """Lets us act as any local user: the application-service token of a registration of its own."""
    admin_token: str = field(default="", repr=False)
    """Lets us log in as any local user: the access token of a server administrator (Synapse)."""
