"""Certificates, keys and authorities from their files (RFC 5246 to RFC 8446, RFC 5922)."""

import ssl
from pathlib import Path

from cryptography import x509

from bridge.core.errors import TrunklineError
from bridge.sip.settings import TlsFiles, TlsSettings

MAX_BYTES = 1 << 20


class CertificateError(TrunklineError):
    """A file cannot be used; `setting` is the one that names it."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For connections that we open: the server's certificate is always verified, and nothing switches that off."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    # A PBX that signed its own certificate is trusted by giving just that one.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return _completed(context, files)


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """For connections that we accept."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A resumed session would show no certificate again, and outlive a change of ours.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if settings.require_client_certificate:
        # Only of ca_file: the authorities of the system vouch for anybody.
        context.verify_mode = ssl.CERT_REQUIRED
    return _completed(context, settings)


def expires_at(certificate: Path) -> float:
    """When the first certificate of a chain ends, in seconds since 1970."""
    chain = _chain(certificate)
    return min(link.not_valid_after_utc.timestamp() for link in chain)


def _completed(context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    if files.ca_file is not None:
        _load_authorities(context, files.ca_file)
    if files.certificate is not None and files.private_key is not None:
        _load_identity(context, files.certificate, files.private_key)
    return context


def _load_authorities(context: ssl.SSLContext, ca_file: Path) -> None:
    _read("ca_file", ca_file)
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:
        raise CertificateError("ca_file", f"{ca_file} has no certificate in PEM form") from None


def _load_identity(context: ssl.SSLContext, certificate: Path, private_key: Path) -> None:
    _chain(certificate)
    _read("private_key", private_key)
    try:
        # Without this answer OpenSSL would ask for a password at the terminal.
        context.load_cert_chain(certificate, private_key, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError("private_key", f"{private_key} is not the key of {certificate}") from None
        message = f"{private_key} is not a private key in PEM form without a password"
        raise CertificateError("private_key", message) from None


def _chain(certificate: Path) -> list[x509.Certificate]:
    content = _read("certificate", certificate)
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise CertificateError("certificate", f"{certificate} has no certificate in PEM form") from None


def _read(setting: str, file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise CertificateError(setting, f"cannot read {file}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise CertificateError(setting, f"{file} is too large")
    return content
