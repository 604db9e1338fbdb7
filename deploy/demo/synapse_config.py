"""The configuration of a Synapse that serves one machine: SQLite, no federation, no rate limits worth the name."""

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

_UNLIMITED = {"per_second": 1000, "burst_count": 10000}

CONFIG_FILE = "homeserver.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class SynapseSecrets:
    """What must stay the same for as long as the database lives, else nobody can log in again."""

    registration: str
    macaroon: str
    form: str
    signing_key: str

    @classmethod
    def kept_in(cls, path: Path) -> "SynapseSecrets":
        """Those of the last run, or new ones that are written down."""
        if path.exists():
            return cls(**json.loads(path.read_text()))
        made = cls.new()
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(made), indent=2) + "\n")
        return made

    @classmethod
    def new(cls) -> "SynapseSecrets":
        """Fresh ones; the signing key is an Ed25519 seed in unpadded base64."""
        seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        return cls(
            registration=secrets.token_urlsafe(32),
            macaroon=secrets.token_urlsafe(32),
            form=secrets.token_urlsafe(32),
            signing_key=f"ed25519 a_{secrets.token_hex(2)} {seed}",
        )


def write_synapse_config(
    directory: Path,
    *,
    server_name: str,
    port: int,
    app_service_config_files: Sequence[Path],
    secrets_: SynapseSecrets,
) -> None:
    """Everything Synapse reads at start, beginning with `CONFIG_FILE`."""
    signing_key = directory / "signing.key"
    signing_key.touch(mode=0o600)
    signing_key.write_text(secrets_.signing_key + "\n")
    log_config = directory / "log.yaml"
    log_config.write_text(yaml.safe_dump(_log_config(directory / "homeserver.log")))
    settings = {
        **_server(directory, server_name, port),
        **_secrets(secrets_, signing_key),
        **_closed_to_the_world(),
        **_rate_limits(),
        "log_config": str(log_config),
        "app_service_config_files": [str(path) for path in app_service_config_files],
    }
    path = directory / CONFIG_FILE
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(settings, sort_keys=False))


def _server(directory: Path, server_name: str, port: int) -> dict[str, Any]:
    return {
        "server_name": server_name,
        "public_baseurl": f"http://127.0.0.1:{port}/",
        "pid_file": str(directory / "homeserver.pid"),
        "listeners": [
            {
                "port": port,
                "type": "http",
                "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": ["client"]}],
            }
        ],
        "database": {"name": "sqlite3", "args": {"database": str(directory / "homeserver.db")}},
        "media_store_path": str(directory / "media"),
    }


def _secrets(secrets_: SynapseSecrets, signing_key: Path) -> dict[str, Any]:
    return {
        "registration_shared_secret": secrets_.registration,
        "macaroon_secret_key": secrets_.macaroon,
        "form_secret": secrets_.form,
        "signing_key_path": str(signing_key),
        # The users here are made up; hashing their passwords slowly would only cost start-up time.
        "bcrypt_rounds": 4,
    }


def _closed_to_the_world() -> dict[str, Any]:
    return {
        "report_stats": False,
        "enable_registration": False,
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "federation_domain_whitelist": [],
        "allow_public_rooms_over_federation": False,
        "url_preview_enabled": False,
        "presence": {"enabled": False},
        "enable_metrics": False,
        "encryption_enabled_by_default_for_room_type": "off",
    }


def _rate_limits() -> dict[str, Any]:
    return {
        "rc_message": _UNLIMITED,
        "rc_registration": _UNLIMITED,
        "rc_login": {"address": _UNLIMITED, "account": _UNLIMITED, "failed_attempts": _UNLIMITED},
        "rc_joins": {"local": _UNLIMITED, "remote": _UNLIMITED},
        "rc_joins_per_room": _UNLIMITED,
        "rc_invites": {"per_room": _UNLIMITED, "per_user": _UNLIMITED, "per_issuer": _UNLIMITED},
        "rc_room_creation": _UNLIMITED,
        "rc_key_requests": _UNLIMITED,
        "rc_media_create": _UNLIMITED,
        "rc_delayed_event_mgmt": _UNLIMITED,
    }


def _log_config(log_file: Path) -> dict[str, Any]:
    return {
        "version": 1,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {
            "file": {
                "class": "logging.handlers.RotatingFileHandler",
                "filename": str(log_file),
                "formatter": "plain",
                "maxBytes": 10_000_000,
                "backupCount": 1,
            }
        },
        # Synapse warns when SQL statements (which hold secrets) are logged; INFO keeps them out.
        "loggers": {"synapse.storage.SQL": {"level": "INFO"}},
        "root": {"level": "INFO", "handlers": ["file"]},
        "disable_existing_loggers": False,
    }
