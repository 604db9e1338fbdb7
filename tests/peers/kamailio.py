"""Kamailio as registrar and proxy with digest authentication, its users given by the test."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

from tests.peers.certificates import Identity
from tests.peers.process import LOOPBACK, READY_LIMIT_S, PeerProcess, free_port

_MODULES = (
    *("kex", "corex", "tm", "tmx", "sl", "rr", "pv", "maxfwd", "usrloc", "registrar", "textops", "siputils"),
    *("xlog", "sanity", "nathelper", "auth", "htable"),
)
_MODULE_PATHS = (
    Path("/usr/lib/x86_64-linux-gnu/kamailio/modules"),
    Path("/usr/lib/aarch64-linux-gnu/kamailio/modules"),
)

_CONFIGURATION = """#!KAMAILIO
debug=2
log_stderror=yes
fork=yes
children=1
tcp_children=1
auto_aliases=no
alias="{domain}"
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
{tls_listener}
mpath="{module_path}/"
{modules}
modparam("usrloc","db_mode",0)
modparam("registrar|nathelper","received_avp","$avp(RECEIVED)")
modparam("registrar","max_expires",3600)
modparam("registrar","min_expires",{min_expires})
modparam("htable","htable","pw=>size=4;")
modparam("auth","nonce_expire",{nonce_expire})
modparam("auth","qop","auth")
modparam("auth","nonce_count",1)
modparam("auth","algorithm","{algorithm}")
modparam("rr","enable_full_lr",1)
{tls_files}
event_route[htable:mod-init] {{
{passwords}
}}
request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483","Too Many Hops"); exit; }}
  if (!sanity_check("1511","7")) {{ exit; }}
  if (is_method("OPTIONS") && uri==myself && $rU==$null) {{ sl_send_reply("200","Keepalive"); exit; }}
  force_rport();
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (has_totag()) {{
    if (loose_route()) {{ handle_ruri_alias(); t_on_reply("behind_nat"); t_relay(); exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
    sl_send_reply("404","Not here"); exit;
  }}
  t_check_trans();
  if (is_method("REGISTER")) {{
    if (!pv_www_authenticate("$td", "$sht(pw=>$au)", "0")) {{ www_challenge("$td","1"); exit; }}
    fix_nated_register();
    save("location"); exit;
  }}
  if (is_method("INVITE|MESSAGE")) {{
    if (!pv_proxy_authenticate("$fd", "$sht(pw=>$au)", "0")) {{ proxy_challenge("$fd","1"); exit; }}
    consume_credentials();
  }}
  if (is_method("INVITE|SUBSCRIBE")) record_route();
  if (!lookup("location")) {{ sl_send_reply("404","Not Found"); exit; }}
  add_contact_alias();
  t_on_reply("behind_nat");
  t_relay();
}}
onreply_route[behind_nat] {{ add_contact_alias(); }}
"""

_TLS_LISTENER = """enable_tls=yes
listen=tls:{host}:{port}"""

_TLS_FILES = """modparam("tls","tls_method","TLSv1.2+")
modparam("tls","certificate","{certificate}")
modparam("tls","private_key","{private_key}")"""


class Kamailio(PeerProcess):
    """Registrar and proxy of `domain` on `port` (UDP and TCP); `users` maps user names, numbers too, to passwords.

    With an `identity` it speaks TLS on `tls_port` as well. Requests inside a dialog take the connection that the phone
    opened, as providers do it for phones behind NAT.
    """

    stop_limit_s = 1.0
    """Asked while its children still start, it does not end; and it has nothing to lose."""

    def __init__(
        self,
        directory: Path,
        users: Mapping[str, str],
        *,
        domain: str = "lab.test",
        port: int | None = None,
        algorithm: str = "MD5",
        nonce_expire_s: int = 30,
        min_expires_s: int = 10,
        identity: Identity | None = None,
    ) -> None:
        self.port = port or free_port(span=2)
        self.tls_port = self.port + 1
        super().__init__(f"kamailio-{self.port}", directory)
        self.domain = domain
        passwords = "\n".join(f'  $sht(pw=>{name})="{password}";' for name, password in users.items())
        self._configuration = _CONFIGURATION.format(
            domain=domain,
            host=LOOPBACK,
            port=self.port,
            module_path=next(path for path in _MODULE_PATHS if path.exists()),
            modules="\n".join(f'loadmodule "{name}.so"' for name in (*_MODULES, *(["tls"] if identity else []))),
            tls_listener=_TLS_LISTENER.format(host=LOOPBACK, port=self.tls_port) if identity else "",
            tls_files=_tls_files(identity) if identity else "",
            min_expires=min_expires_s,
            nonce_expire=nonce_expire_s,
            algorithm=algorithm,
            passwords=passwords,
        )

    async def start(self) -> None:
        run = self.directory / f"run-{self.port}"
        run.mkdir(exist_ok=True)
        path = run / "kamailio.cfg"
        path.write_text(self._configuration)
        command = ("kamailio", "-f", path, "-DD", "-E", "-w", run, "-Y", run, "-P", run / "pid", "-m", "64", "-M", "8")
        await self.launch(command)
        await _answers_options(self, self.port)


def _tls_files(identity: Identity) -> str:
    return _TLS_FILES.format(certificate=identity.certificate, private_key=identity.private_key)


class _Answer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if not self.received.done():
            self.received.set_result(None)

    def error_received(self, exc: Exception) -> None:
        """Refused: not listening yet; the next attempt tells."""


async def _answers_options(peer: PeerProcess, port: int) -> None:
    """Send OPTIONS until the server answers one."""
    loop = asyncio.get_running_loop()
    transport, answer = await loop.create_datagram_endpoint(_Answer, remote_addr=(LOOPBACK, port))
    host, local_port = transport.get_extra_info("sockname")
    deadline = loop.time() + READY_LIMIT_S
    try:
        for attempt in range(int(READY_LIMIT_S * 10)):
            transport.sendto(_options_request(port, host, local_port, attempt))
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(answer.received), 0.1)
            if peer.pid is None or loop.time() > deadline:
                break
        raise RuntimeError(f"{peer.name} did not answer OPTIONS:\n{peer.log_tail()}")
    finally:
        transport.close()


def _options_request(port: int, host: str, local_port: int, attempt: int) -> bytes:
    uri = f"sip:{LOOPBACK}:{port}"
    lines = (
        f"OPTIONS {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{local_port};branch=z9hG4bKready{attempt};rport",
        "Max-Forwards: 70",
        f"From: <sip:ready@{host}>;tag=ready",
        f"To: <{uri}>",
        f"Call-ID: ready-{local_port}",
        f"CSeq: {attempt + 1} OPTIONS",
        f"Contact: <sip:ready@{host}:{local_port}>",
        "Content-Length: 0",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
