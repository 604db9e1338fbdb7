"""What can be wrong with the settings of TLS."""

from collections.abc import Iterator

from bridge.config.document import Location
from bridge.config.model import Config, TlsFilesConfig, TrunkConfig, TrunkTlsConfig
from bridge.core.ids import TrunkName
from bridge.sip.settings import Transport

Finding = tuple[Location, str]


def tls_contradictions(config: Config) -> Iterator[Finding]:
    """Settings of TLS that do not fit together."""
    here = ("sip", "tls")
    tls = config.sip.tls
    yield from _halves(here, tls)
    if tls.certificate is None and any(listener.transport is Transport.TLS for listener in config.sip.listen):
        yield (*here, "certificate"), "is required when sip.listen has a tls address"
    if tls.require_client_certificate and tls.ca_file is None:
        message = "needs ca_file: the authority whose certificates your trunks show"
        yield (*here, "require_client_certificate"), message
    for name, trunk in config.trunks.items():
        yield from _trunk(config, name, trunk)


def _trunk(config: Config, name: TrunkName, trunk: TrunkConfig) -> Iterator[Finding]:
    here = ("trunks", name, "tls")
    if trunk.tls != TrunkTlsConfig() and trunk.transport is not Transport.TLS:
        yield here, f"is never used with transport: {trunk.transport}"
        return
    yield from _halves(here, trunk.tls)
    for other in config.trunks.values():
        if other is trunk:
            return
        if (other.transport, other.server.host) == (Transport.TLS, trunk.server.host) and other.tls != trunk.tls:
            yield here, "must be the same for all trunks with this server: they share its connections"
            return


def _halves(here: Location, files: TlsFilesConfig) -> Iterator[Finding]:
    """A certificate is of no use without its key, and the other way round."""
    if files.certificate is not None and files.private_key is None:
        yield (*here, "private_key"), "is required with a certificate"
    if files.private_key is not None and files.certificate is None:
        yield (*here, "certificate"), "is required with a private_key"
