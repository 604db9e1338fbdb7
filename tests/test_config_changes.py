"""What a configuration that is read again changes at once, what waits for a restart, and what is refused until then."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config import Config, ConfigError, load_config, take_over
from bridge.core.ids import TrunkName
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
        ({"trunks": {**TRUNKS, "b": {"server": "other.d", "max_calls": 3}}}, ["trunks.b.server"]),
        ({"trunks": {**TRUNKS, "c": {"server": "e.f"}}}, ["trunks.c"]),
        ({"trunks": {"a": TRUNKS["a"]}}, ["trunks.b"]),
        ({"media": {"ports": "30000-31000"}, "logging": {"level": "error"}}, ["media.ports"]),
        ({"numbers": {"default_region": "DE"}}, ["numbers.default_region"]),
        ({"numbers": {"regions": {"example.org": "DE"}}}, ["numbers.regions"]),
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
    after = config(tmp_path, trunks={**TRUNKS, "b": {"server": "other.d", "max_calls": 3}}, logging={"level": "error"})
    taken = take_over(before, after).config
    assert taken.trunks[TrunkName("b")].max_calls == 3
    assert taken.trunks[TrunkName("b")].server.host == "c.d"
    assert taken.logging.level == "error"


def test_the_order_of_trunks_is_taken_over(tmp_path: Path) -> None:
    before = config(tmp_path)
    after = config(tmp_path, trunks={"c": {"server": "e.f"}, **dict(reversed(TRUNKS.items()))})
    assert list(take_over(before, after).config.trunks) == ["b", "a"]


@pytest.mark.parametrize(
    ("sections", "path"),
    [
        ({"numbers": {"dial_plan": [{"prefixes": ["+"], "trunks": ["a", "c"]}]}}, "numbers.dial_plan[0].trunks[1]"),
        ({"permissions": {"outbound": [{**MAY_CALL, "trunk": "c"}]}}, "permissions.outbound[0].trunk"),
    ],
)
def test_what_names_a_trunk_that_is_not_there_yet_changes_nothing(
    tmp_path: Path, sections: dict[str, Any], path: str
) -> None:
    before = config(tmp_path)
    after = config(tmp_path, trunks={**TRUNKS, "c": {"server": "e.f"}}, **sections)
    with pytest.raises(ConfigError) as refused:
        take_over(before, after)
    (fault,) = refused.value.faults
    assert fault.path == path
    assert fault.message.endswith("restart first")


def test_every_section_has_a_series_in_the_metric() -> None:
    assert frozenset(Config.model_fields) == SECTIONS
