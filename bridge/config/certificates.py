"""What can be wrong with the settings of TLS, and with the files that they name."""

import datetime
from collections.abc import Iterator

from bridge.config.document import Location, dotted
from bridge.config.model import Config, TlsFilesConfig, TrunkConfig, TrunkTlsConfig
from bridge.core.ids import TrunkName
from bridge.sip.io.certificates import CertificateError, client_context, expires_at
from bridge.sip.settings import TlsFiles, Transport

Finding = tuple[Location, str]

RENEW_DAYS = 14
"""A certificate that ends sooner should have been renewed by now."""


def tls_contradictions(config: Config) -> Iterator[Finding]:
    """Settings of TLS that do not fit together."""
    here = ("sip", "tls")
    tls = config.sip.tls
    yield from _files(here, tls)
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
    yield from _files(here, trunk.tls)


def _files(here: Location, files: TlsFilesConfig) -> Iterator[Finding]:
    """A certificate is of no use without its key, and the other way round; then what is in them."""
    if files.certificate is not None and files.private_key is None:
        yield (*here, "private_key"), "is required with a certificate"
    if files.private_key is not None and files.certificate is None:
        yield (*here, "certificate"), "is required with a private_key"
    if any((files.certificate, files.private_key, files.ca_file)):
        try:
            client_context(
                TlsFiles(certificate=files.certificate, private_key=files.private_key, ca_file=files.ca_file)
            )
        except CertificateError as error:
            yield (*here, error.setting), str(error)


def certificate_warnings(config: Config) -> Iterator[str]:
    """Certificates of ours that peers refuse, or soon will."""
    groups: list[tuple[Location, TlsFilesConfig]] = [(("sip", "tls"), config.sip.tls)]
    groups += [(("trunks", name, "tls"), trunk.tls) for name, trunk in config.trunks.items()]
    for here, files in groups:
        if files.certificate is not None:
            yield from _expiry(dotted((*here, "certificate")), expires_at(files.certificate))


def _expiry(setting: str, expires: float) -> Iterator[str]:
    end = datetime.datetime.fromtimestamp(expires, datetime.UTC)
    left = end - datetime.datetime.now(datetime.UTC)
    if left < datetime.timedelta():
        yield f"{setting}: ended on {end:%Y-%m-%d}, so peers refuse it: renew it"
    elif left < datetime.timedelta(days=RENEW_DAYS):
        yield f"{setting}: ends on {end:%Y-%m-%d}: renew it"
