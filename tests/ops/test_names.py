"""Traces are shown without what people are called, wherever a message has it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ops.traces.items import Kind
from bridge.ops.traces.names import without_names
from bridge.ops.traces.showing import Showing
from tests.ops.test_traces import step

WHO = "Quibble"
FIELDS = (
    *("From", "f", "To", "t", "Contact", "m", "Reply-To", "Refer-To", "r", "Referred-By", "b", "Diversion"),
    *("P-Asserted-Identity", "P-Preferred-Identity", "P-Called-Party-ID", "P-Associated-URI", "P-Served-User"),
    *("Remote-Party-ID", "History-Info", "Call-Info", "Route", "Record-Route", "X-Of-A-Vendor"),
)
ADDRESS, PARAMETERS = "<sip:1@x.example>", ";tag=kept"

blanks = st.sampled_from(["", " ", "\t", "\r\n "])
around = st.text(alphabet="aZ9 .-_é", max_size=5)
odd = st.sampled_from(["a", ",", "<", ">", ";", "=", " ", "\\\\", '\\"', "é", ":"])
tricky = st.lists(odd, max_size=5).map("".join)
quoted = st.builds(lambda before, after: f'"{before}{WHO}{after}"', tricky, tricky)
unquoted = st.builds(lambda before, after: f"{before} {WHO} {after}", around, around)
malformed = st.sampled_from([f"Doe, {WHO}", f'"{WHO}" Doe', f"{WHO}; of=us", f'Jane "{WHO}', f"Jane\r{WHO}"])
parameters = st.sampled_from([PARAMETERS, f'{PARAMETERS};text="a, <b>"', f"{PARAMETERS};screen=yes"])
people = st.builds("{}{}{}{}{}".format, blanks, quoted | unquoted, blanks, st.just(ADDRESS), parameters)


@given(field=st.sampled_from(FIELDS), values=st.lists(people, min_size=1, max_size=4), gap=st.sampled_from(["", "\t"]))
def test_every_name_in_front_of_an_address_is_hidden_and_parameters_stay(
    field: str, values: list[str], gap: str
) -> None:
    message = f"INVITE sip:1@x.example SIP/2.0\r\n{field}{gap}:{','.join(values)}\r\nCSeq: 1 INVITE\r\n\r\n"
    shown = without_names(message)
    assert WHO not in shown
    assert shown.count(ADDRESS) == shown.count(PARAMETERS) == shown.count("[redacted#") == len(values)
    assert shown.endswith("\r\nCSeq: 1 INVITE\r\n\r\n")


@given(field=st.sampled_from(FIELDS), first=people, name=malformed)
def test_names_that_are_written_against_the_rules_are_hidden_as_well(field: str, first: str, name: str) -> None:
    assert WHO not in without_names(f"{field}: {first}, {name} {ADDRESS}{PARAMETERS}\r\n")


@pytest.mark.parametrize("field", ["Subject", "s", "Organization", "From", "Refer-To"])
@pytest.mark.parametrize("value", [WHO, f'"{WHO}"', f"the {WHO}s,\r\n {WHO}", f'"{WHO}', f"sip:{WHO}@x;tag=1"])
def test_what_stands_without_an_address_where_people_are_named_is_hidden(field: str, value: str) -> None:
    assert WHO not in without_names(f"{field}: {value}\r\n")


@pytest.mark.parametrize(
    "line",
    [
        "SIP/2.0 486 Busy Here",
        "Via: SIP/2.0/UDP h.example;branch=z9hG4bK1, SIP/2.0/TCP g.example",
        'Reason: Q.850;cause=16;text="Normal call clearing"',
        "Record-Route: <sip:a.example;lr>, <sip:b.example;lr>",
        "User-Agent: A phone (of 2020, large)",
        "To: <sip:1@x.example>;tag=a",
        "a=rtpmap:0 PCMU/8000",
    ],
)
def test_other_words_are_shown_as_they_are(line: str) -> None:
    assert without_names(f"{line}\r\n") == f"{line}\r\n"


LONG = ('"\\' * 16_000, "<" * 32_000, '\\"' * 16_000, ",<" * 16_000, '"' * 32_001, ",\r\n " * 9_000, "\r" * 32_000)


@pytest.mark.parametrize("value", LONG, ids=lambda value: repr(value[:4]))
def test_no_message_takes_long_to_show(value: str) -> None:
    began = time.process_time()
    without_names(f"From: {value}\r\n")
    assert time.process_time() - began < 1.0


def test_a_message_of_a_trace_is_shown_so() -> None:
    message = f'P-Asserted-Identity: "A" <sip:1@x>, "{WHO}" <tel:+15550100>\r\nRefer-To: {WHO} <sip:2@x>\r\n'
    entry = step(Kind.SIP, "INVITE", detail=message)
    assert WHO not in Showing().detail(entry)
    assert WHO in Showing(numbers=True).detail(entry)
