"""What a configuration that is read again changes at once, what waits for a restart, and what is refused until then."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config import Config, ConfigError, load_config, take_over
from bridge.ops.declarations.label_values import SECTIONS

TOKENS = {"TRUNKLINE_AS_TOKEN": "a" * 32, "TRUNKLINE_HS_TOKEN": "h" * 32}
HOMESERVER = {"url": "http://127.0.0.1:8008", "server_name": "example.org"}
TRUNKS = {"a": {"server": "h.b", "rates": {"+44": "0.01"}}, "b": {"server": "c.d"}}
MAY_CALL = {"who": ["@alice:example.org"], "prefixes": ["+44"]}


def config(directory: Path, **sections: Any) -> Config:
    file = directory / "trunkline.yaml"
    file.write_text(yaml.safe_dump({"homeserver": HOMESERVER, "trunks": TRUNKS, **sections}, sort_keys=False))
    return load_config(file, TOKENS)


@pytest.mark.parametrize(
    "sections",
    [
        {"permissions": {"outbound": [MAY_CALL], "limits": [{"who": ["example.org"], "day_minutes": 10}]}},
        {"permissions": {"suspension": {"hours": 1}, "texts_per_day": 5, "admins": ["@root:example.org"]}},
        {"numbers": {"inbound": {"+15550100": "@alice:example.org"}, "blocked": ["+9"], "time_zone": "Europe/Berlin"}},
        {"numbers": {"caller_ids": {"example.org": "withheld"}, "dial_plan": [{"prefixes": ["+"], "trunks": ["b"]}]}},
        {"calls": {"ring_timeout_s": 20, "ring_when": {"example.org": "online"}, "call_waiting": False}},
        {"voicemail": {"users": ["example.org"], "after_s": 10, "greeting_text": "Speak."}},
        {"trunks": {"a": {"server": "h.b", "rates": {"+44": "0.02"}, "max_calls": 3, "emergency": True},
                    "b": {"server": "c.d", "caller_id": "+15550199", "early_media": "answer"}}},
        {"groups": {"sales": {"members": ["@alice:example.org"]}}, "numbers": {"inbound": {"201": "group:sales"}}},
        {"menus": {"main": {"prompt": "Hello."}}, "numbers": {"inbound": {"+15550100": "menu:main"}}},
        {"announcements": {"spoken": False, "texts": {"limit_reached": "No more."}}},
        {"numbers": {"default_region": "DE", "regions": {"example.org": "FR"}, "emergency": ["112", "555"]}},
        {"trunks": {**TRUNKS, "c": {"server": "e.f", "auth": "register", "username": "me", "password": "secret"}}},
        {"trunks": {"a": TRUNKS["a"]}},
        {"trunks": {**TRUNKS, "b": {"server": "other.d", "transport": "tcp"}}},
        {"trunks": {**TRUNKS, "c": {"server": "e.f"}}, "permissions": {"outbound": [{**MAY_CALL, "trunk": "c"}]}},
        {"logging": {"level": "debug"}},
    ],
)  # fmt: skip
def test_what_concerns_calls_is_taken_over_as_a_whole(tmp_path: Path, sections: dict[str, Any]) -> None:
    before, after = config(tmp_path), config(tmp_path, **sections)
    taken = take_over(before, after)
    assert taken.config == after != before
    assert taken.waiting == []


@pytest.mark.parametrize(
    ("sections", "waiting"),
    [
        ({"media": {"ports": "30000-31000"}, "logging": {"level": "error"}}, ["media.ports"]),
        ({"numbers": {"avatar": "mxc://example.org/picture"}}, ["numbers.avatar"]),
        ({"appservice": {"listen": "127.0.0.1:1234"}}, ["appservice.listen"]),
        ({"logging": {"format": "console"}}, ["logging.format"]),
    ],
)
def test_the_rest_is_named_and_left_as_it_is(tmp_path: Path, sections: dict[str, Any], waiting: list[str]) -> None:
    before, after = config(tmp_path), config(tmp_path, **sections)
    taken = take_over(before, after)
    assert taken.waiting == waiting
    again = take_over(taken.config, after)
    assert (again.config, again.waiting) == (taken.config, waiting)
    assert take_over(again.config, before).config == before


def test_what_needs_no_restart_goes_before_what_does(tmp_path: Path) -> None:
    before = config(tmp_path)
    numbers = {"avatar": "mxc://example.org/picture", "blocked": ["+9"]}
    taken = take_over(before, config(tmp_path, numbers=numbers, logging={"level": "error"})).config
    assert taken.numbers.blocked == ("+9",)
    assert taken.numbers.avatar == ""
    assert taken.logging.level == "error"


def test_the_order_of_trunks_is_taken_over(tmp_path: Path) -> None:
    before = config(tmp_path)
    after = config(tmp_path, trunks={"c": {"server": "e.f"}, **dict(reversed(TRUNKS.items()))})
    assert list(take_over(before, after).config.trunks) == ["c", "b", "a"]


def test_a_trunk_that_needs_another_listener_changes_nothing(tmp_path: Path) -> None:
    before = config(tmp_path, sip={"listen": ["udp:127.0.0.1:5060"]})
    after = config(
        tmp_path,
        sip={"listen": ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]},
        trunks={**TRUNKS, "c": {"server": "e.f", "transport": "tcp"}},
    )
    with pytest.raises(ConfigError) as refused:
        take_over(before, after)
    (fault,) = refused.value.faults
    assert fault.path == "trunks.c.transport"
    assert fault.message.endswith("restart first")


def test_every_section_has_a_series_in_the_metric() -> None:
    assert frozenset(Config.model_fields) == SECTIONS
