"""What pydantic found wrong, in words for an admin: what was expected, what was found, what was perhaps meant."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bridge.config.document import Location, dotted
from bridge.config.model import Config
from bridge.config.values import quoting_hint, shown

_REPLACED = {"assert_identity": "identity_headers takes its place, and [] stands for false"}
"""Settings that earlier versions had."""

Wording = Callable[[Location, ErrorDetails], str]


def worded(location: Location, error: ErrorDetails) -> str:
    """One sentence for one error."""
    wording = _WORDINGS.get(error["type"])
    return wording(location, error) if wording else f"{error['msg']}, found {shown(error['input'])}"


def location_of(error: ErrorDetails) -> Location:
    """Where the error is; pydantic marks a bad key of a mapping with an extra part."""
    location = error["loc"]
    return location[:-1] if location and location[-1] == "[key]" else location


def follows(error: ErrorDetails) -> bool:
    """Whether a list is called too short only because its entries are wrong, each of which is reported already."""
    return error["type"] == "too_short" and bool(error["input"])


def _unknown(location: Location, error: ErrorDetails) -> str:
    key = str(location[-1])
    if key in _REPLACED:
        return f"unknown setting: {_REPLACED[key]}"
    known = list(_model_at(location[:-1]).model_fields)
    if elsewhere := _elsewhere(key):
        return f"unknown setting here, did you mean {elsewhere}?"
    if close := difflib.get_close_matches(key, known, n=1):
        return f"unknown setting, did you mean {close[0]}?"
    return f"unknown setting; there is {', '.join(known)}"


def _elsewhere(key: str) -> str | None:
    """The same setting in another section of the file."""
    for section, field in Config.model_fields.items():
        model = _nested(field.annotation)
        if model is not None and key in model.model_fields:
            entries = () if field.annotation is model else ("NAME",)
            return dotted((section, *entries, key))
    return None


def _model_at(location: Location) -> type[BaseModel]:
    """The model whose settings stand at a place; the keys of mappings and the indices of lists lead to no new one."""
    model: type[BaseModel] = Config
    for part in location:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        model = (_nested(field.annotation) if field else None) or model
    return model


def _nested(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as `Mapping[str, TrunkConfig]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _nested(argument))), None)


def _number(location: Location, error: ErrorDetails) -> str:
    whole = "a whole number" if error["type"].startswith("int") else "a number"
    setting = str(location[-1])
    unit = " of seconds" if setting.endswith("_s") and not setting.endswith("_per_s") else ""
    return f"expected {whole}{unit}, found {shown(error['input'])}"


def _bound(words: str, key: str) -> Wording:
    def wording(location: Location, error: ErrorDetails) -> str:
        return f"must be {words} {error.get('ctx', {}).get(key)}, found {shown(error['input'])}"

    return wording


def _expected(words: str) -> Wording:
    def wording(location: Location, error: ErrorDetails) -> str:
        return f"expected {words}, found {shown(error['input'])}"

    return wording


def _text(location: Location, error: ErrorDetails) -> str:
    return f"expected text, found {shown(error['input'])}{quoting_hint(error['input'])}"


def _list(location: Location, error: ErrorDetails) -> str:
    if isinstance(error["input"], Mapping):
        return "expected a list, found a group of settings: begin each entry with '- '"
    return f"expected a list, such as [one, two], found {shown(error['input'])}"


def _choice(location: Location, error: ErrorDetails) -> str:
    choices = str(error.get("ctx", {}).get("expected", "")).replace("'", "")
    return f"expected {choices}; found {shown(error['input'])}"


def _own_words(location: Location, error: ErrorDetails) -> str:
    return str(error.get("ctx", {}).get("error", error["msg"]))


def _fixed(words: str) -> Wording:
    def wording(location: Location, error: ErrorDetails) -> str:
        return words

    return wording


_WORDINGS: Mapping[str, Wording] = {
    "extra_forbidden": _unknown,
    "missing": _fixed("is required"),
    "value_error": _own_words,
    "string_type": _text,
    "enum": _choice,
    "literal_error": _choice,
    "bool_type": _expected("true or false"),
    "bool_parsing": _expected("true or false"),
    "float_type": _number,
    "float_parsing": _number,
    "finite_number": _number,
    "int_type": _number,
    "int_parsing": _number,
    "int_from_float": _number,
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than_equal": _bound("at most", "le"),
    "string_too_short": _expected("some text"),
    "string_too_long": _expected("a shorter text"),
    "too_short": _fixed("needs at least one entry"),
    "tuple_type": _list,
    "mapping_type": _expected("a group of settings"),
    "dict_type": _expected("a group of settings"),
    "model_type": _expected("a group of settings"),
    "model_attributes_type": _expected("a group of settings"),
    "path_type": _text,
}
