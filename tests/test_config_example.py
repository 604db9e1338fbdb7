"""The example configuration is the manual: it has every setting, explains it, and shows its true default."""

import enum
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo

from bridge.config import Config, ConfigError, load_config
from bridge.core.ids import TrunkName, UserId
from bridge.numbers.permission import Permission
from bridge.numbers.policy import NumberPlan, Route, TrunkChoice

EXAMPLE = Path(__file__).parent.parent / "config" / "trunkline.example.yaml"
SETTING = re.compile(r"^(\s*)#(?=[a-z_]+:)", re.MULTILINE)
"""A default: `#` and a setting without a space between them."""
SECRETS = ("as_token", "hs_token", "trunk_password")


def written() -> dict[str, Any]:
    """What is set in the example."""
    return parsed(EXAMPLE.read_text())


def shown() -> dict[str, Any]:
    """What is set in the example, and its defaults."""
    return parsed(SETTING.sub(r"\1", EXAMPLE.read_text()))


def parsed(text: str) -> dict[str, Any]:
    tree = yaml.safe_load(text)
    assert isinstance(tree, dict)
    return tree


def model_inside(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := model_inside(argument))), None)


def settings_of(model: type[BaseModel], tree: Any, path: str = "") -> Iterator[tuple[str, FieldInfo, Any]]:
    """Every setting of `model` that `tree` has, with its path and value."""
    for name, field in model.model_fields.items():
        if not isinstance(tree, dict) or name not in tree:
            continue
        yield f"{path}{name}", field, tree[name]
        if (inner := model_inside(field.annotation)) is not None:
            for entry in entries(tree[name], single=inner is field.annotation):
                yield from settings_of(inner, entry, f"{path}{name}.")


def entries(value: Any, *, single: bool) -> list[Any]:
    if single:
        return [value]
    return list(value) if isinstance(value, list) else list(value.values())


def all_settings(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{path}{name}"
        if (inner := model_inside(field.annotation)) is not None:
            yield from all_settings(inner, f"{path}{name}.")


def is_default(field: FieldInfo, value: Any) -> bool:
    if field.is_required():
        return bool(value == "")  # a secret, shown as one of its three sources
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, SecretStr):
        return bool(value == default.get_secret_value())
    adapter: Any = TypeAdapter(field.rebuild_annotation())
    return bool(adapter.validate_python(value) == default)


def test_it_has_every_setting() -> None:
    present = {path for path, _, _ in settings_of(Config, shown())}
    assert set(all_settings(Config)) == present


def test_it_has_no_setting_that_does_not_exist() -> None:
    names = {path.rpartition(".")[2] for path in all_settings(Config)}
    assert {line.strip().lstrip("#").partition(":")[0] for line in commented_lines()} <= names


def commented_lines() -> list[str]:
    return [line for line in EXAMPLE.read_text().splitlines() if SETTING.match(line)]


def test_what_is_commented_out_is_the_default() -> None:
    active = {path for path, _, _ in settings_of(Config, written())}
    wrong = [
        path
        for path, field, value in settings_of(Config, shown())
        if path not in active and not is_default(field, value)
    ]
    assert wrong == []


def comment_above(setting: str) -> str:
    """The sentences that explain a setting."""
    lines = EXAMPLE.read_text().splitlines()
    end = next(number for number, line in enumerate(lines) if re.match(rf"\s*#?{setting}:", line))
    start = end
    while re.match(r"\s*# ", lines[start - 1]):
        start -= 1
    return " ".join(line.strip(" #") for line in lines[start:end])


def choices(annotation: Any) -> list[str]:
    """The values of a setting that has a few."""
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [str(member.value) for member in annotation]
    return [str(value) for value in get_args(annotation)] if get_origin(annotation) is Literal else []


def test_every_value_of_a_setting_that_has_a_few_is_named() -> None:
    for path, field, _ in settings_of(Config, shown()):
        setting = path.rpartition(".")[2]
        missing = [choice for choice in choices(field.annotation) if choice not in comment_above(setting)]
        assert missing == [], path


def test_it_says_which_trunk_carries_a_call() -> None:
    carrier, spare = TrunkName("carrier"), TrunkName("spare")
    plan = NumberPlan(
        permissions=(Permission(who=("example.org",), prefixes=("+1",)),),
        trunks=(TrunkChoice(name=carrier), TrunkChoice(name=spare)),
        inbound={},
    )

    def chosen(*in_service: TrunkName) -> TrunkName:
        route = plan.route(UserId("@alice:example.org"), "+15550100", lambda trunk: trunk in in_service)
        assert isinstance(route, Route)
        return route.trunk

    assert (chosen(carrier, spare), chosen(spare), chosen()) == (carrier, spare, carrier)
    assert "the first one above that is in service; when none is, the first one" in comment_above("trunk")
    assert "The first one in service carries calls whose permission names no trunk." in comment_above("trunks")


def test_every_setting_stands_under_a_sentence() -> None:
    """Directly, or with a few others that the same sentence explains."""
    lines = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\s*(- )?#?[a-z_]+:", line):
            above = lines[max(0, number - 4) : number]
            assert any(re.match(r"\s*# [A-Za-z]", before) for before in above), line


def test_it_is_valid_once_its_secrets_exist(tmp_path: Path) -> None:
    for name in SECRETS:
        (tmp_path / name).write_text(f"{name}-0123456789abcdef")
    config = load_config(copied(tmp_path), {})
    assert [trunk.username for trunk in config.trunks.values()] == ["alice"]
    assert config.store.path == tmp_path / "trunkline.sqlite3"


def test_it_lacks_nothing_but_its_secrets(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(copied(tmp_path), {})
    assert {fault.path for fault in raised.value.faults} == {
        "appservice.as_token_file",
        "appservice.hs_token_file",
        "trunks.carrier.password_file",
    }


def copied(directory: Path) -> Path:
    file = directory / "trunkline.yaml"
    file.write_text(EXAMPLE.read_text())
    return file
