"""Configuration files of a few lines, and what is found wrong with them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.config import (
    Config,
    ConfigError,
    load_config,
)

TOKENS = {"TRUNKLINE_AS_TOKEN": "a" * 32, "TRUNKLINE_HS_TOKEN": "h" * 32}
MINIMAL = """
homeserver: {url: "http://127.0.0.1:8008", server_name: example.org}
"""
TRUNK = "trunks: {a: {server: h.b}}\n"


def write(directory: Path, text: str) -> Path:
    file = directory / "trunkline.yaml"
    file.write_text(text)
    return file


def load(directory: Path, text: str, **variables: str) -> Config:
    return load_config(write(directory, text), {**TOKENS, **variables})


def faults(directory: Path, text: str, environ: Mapping[str, str] = TOKENS) -> dict[str, str]:
    with pytest.raises(ConfigError) as raised:
        load_config(write(directory, text), environ)
    return {fault.path: fault.message for fault in raised.value.faults}
