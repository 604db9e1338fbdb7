"""Whatever stands in a configuration file, it is a configuration or a list of faults."""

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import Config, ConfigError, load_config
from tests.test_config_example import all_settings

SETTINGS = sorted({name for path in all_settings(Config) for name in path.split(".")})
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.sampled_from(["127.0.0.1:5060", "udp:127.0.0.1:5060", "@a:b.c", "+15550100", "20000-29999", "a.b", "register"]),
)
keys = st.one_of(st.sampled_from(SETTINGS), st.text(max_size=5), st.integers(), st.booleans(), st.none())
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=25,
)
files = st.one_of(
    st.dictionaries(st.sampled_from(list(Config.model_fields)), trees, max_size=8).map(yaml.safe_dump),
    trees.map(yaml.safe_dump),
    st.text(max_size=200),
)


def outcome(text: str, environ: dict[str, str]) -> Config | ConfigError:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "trunkline.yaml"
        file.write_text(text)
        try:
            return load_config(file, environ)
        except ConfigError as error:
            return error


@given(files, st.dictionaries(st.sampled_from(["TRUNKLINE_AS_TOKEN", "TRUNKLINE_HS_TOKEN"]), st.text(max_size=40)))
def test_a_file_is_a_configuration_or_a_list_of_faults(text: str, environ: dict[str, str]) -> None:
    result = outcome(text, environ)
    if isinstance(result, ConfigError):
        assert result.faults
        assert all(fault.message and str(fault).isprintable() for fault in result.faults)


def one_wrong_section(section: str, value: Any) -> str:
    good = {"homeserver": {"url": "http://127.0.0.1:8008", "server_name": "example.org"}}
    return yaml.safe_dump({**good, section: value})


@given(st.sampled_from(list(Config.model_fields)), st.sampled_from(SETTINGS), trees)
def test_one_strange_value_is_a_configuration_or_a_list_of_faults(section: str, setting: str, value: Any) -> None:
    tokens = {"TRUNKLINE_AS_TOKEN": "a" * 20, "TRUNKLINE_HS_TOKEN": "h" * 20}
    outcome(one_wrong_section(section, {setting: value, "carrier": {setting: value}}), tokens)
