"""Names for numbers, as phones and spreadsheets export them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.ids import E164
from bridge.core.picture import MAX_PICTURE_BYTES
from bridge.numbers.address_book import MAX_FAULTS, MAX_NAME, parse_address_book


@pytest.mark.parametrize(
    "text",
    [
        "+49 30 1234567,Jane Example\n",
        "030 1234567,Jane Example",
        "number,name\n+49301234567,Jane Example\n",
        "Name;City;Phone\r\nJane Example;Berlin;(030) 123 45 67\r\n",
        "tel\tfn\n+49301234567\tJane Example\n",
        '"+49 30 1234567", "Jane Example"\n',
        "\n\n+49301234567,Jane Example\n\n",
        "+49301234567,Jane Example\n+49301234567,Somebody Else\n",
        "BEGIN:VCARD\nVERSION:4.0\nFN:Jane Example\nTEL;VALUE=uri:tel:+49-30-1234567;ext=1\nEND:VCARD\n",
        "BEGIN:VCARD\r\nVERSION:3.0\r\nTEL;TYPE=CELL:+49301234567\r\nFN:Jane\r\n  Example\r\nEND:VCARD\r\n",
        "begin:vcard\nitem1.TEL;type=WORK:0301234567\nitem1.X-ABLabel:x\nfn:Jane Example\nend:vcard\n",
    ],
)
def test_a_name_is_found_however_it_was_written(text: str) -> None:
    book = parse_address_book(text, "DE")
    assert book.names == {"+49301234567": "Jane Example"}
    assert book.faults == ()


def test_a_card_may_have_several_numbers_and_a_file_several_cards() -> None:
    card = "BEGIN:VCARD\nFN:{name}\nTEL:{first}\nTEL:{second}\nEND:VCARD\n"
    text = card.format(name="Jane", first="+4911", second="+4912") + card.format(
        name="Joe", first="+4913", second="+4914"
    )
    assert parse_address_book(text, "DE").names == {"+4911": "Jane", "+4912": "Jane", "+4913": "Joe", "+4914": "Joe"}


def test_the_cards_of_older_phones_are_read() -> None:
    text = (
        "BEGIN:VCARD\nVERSION:2.1\nFN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=BCrgen =\nM=C3=BCller\n"
        "TEL;CELL:+4911\nEND:VCARD\n"
    )
    assert parse_address_book(text, "DE").names == {"+4911": "Jürgen Müller"}


def test_escaped_characters_of_a_card_are_themselves_again() -> None:
    text = "BEGIN:VCARD\nFN:Example\\, Jane\\; Dr.\\nBerlin\nTEL:+4911\nEND:VCARD\n"
    assert parse_address_book(text, "DE").names == {"+4911": "Example, Jane; Dr. Berlin"}


def test_what_cannot_be_used_is_said_and_the_rest_is_used() -> None:
    book = parse_address_book("+4911,Jane\nnonsense,Joe\n+4912,\n+4913,Jim\n", "DE")
    assert book.names == {"+4911": "Jane", "+4913": "Jim"}
    assert book.faults == ("line 2: no number", "line 3: no name")


def test_faults_are_bounded() -> None:
    assert len(parse_address_book("nonsense,x\n" * 1000, "DE").faults) == MAX_FAULTS


def test_a_file_that_no_spreadsheet_wrote_is_read_as_far_as_it_goes() -> None:
    book = parse_address_book(f"+4911,Jane\n+4912,{'x' * 200_000}\n", "DE")
    assert book.names == {"+4911": "Jane"}
    assert "read in part" in book.faults[0]


@given(st.text())
def test_whatever_stands_in_the_file_names_are_fit_to_be_shown(text: str) -> None:
    for book in (parse_address_book(text, "DE"), parse_address_book(f"BEGIN:VCARD\n{text}\nEND:VCARD", "DE")):
        for number, name in book.names.items():
            assert number
            assert 0 < len(name) <= MAX_NAME
            assert name.isprintable()


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
ENCODED = base64.b64encode(PNG).decode()


def card(*lines: str) -> str:
    return "\n".join(["BEGIN:VCARD", "FN:Jane", *lines, "TEL:+4911", "END:VCARD", ""])


@pytest.mark.parametrize(
    "photo",
    [
        f"PHOTO:data:image/png;base64,{ENCODED}",
        f"PHOTO;ENCODING=b;TYPE=PNG:{ENCODED}",
        f"photo;type=png;encoding=b:{ENCODED}",
        f"PHOTO;PNG;ENCODING=BASE64:{ENCODED[:60]}\n {ENCODED[60:]}\n",
        f"item1.PHOTO;BASE64:{ENCODED}",
        f"PHOTO;ENCODING=b;TYPE=JPEG:{ENCODED}",
    ],
)
def test_the_picture_of_a_card_is_found_however_it_was_written(photo: str) -> None:
    picture = parse_address_book(card(photo), "DE").pictures[E164("+4911")]
    assert (picture.content, picture.kind) == (PNG, "image/png")


@pytest.mark.parametrize(
    "photo",
    [
        "PHOTO;VALUE=uri:https://example.org/jane.png",
        "PHOTO:file:///etc/passwd",
        f"PHOTO:{ENCODED}",
        "PHOTO;ENCODING=b:AAA",
        "PHOTO;ENCODING=b:PHN2Zz48L3N2Zz4=",
        f"PHOTO;ENCODING=b:{base64.b64encode(PNG + bytes(MAX_PICTURE_BYTES)).decode()}",
        f"PHOTO;ENCODING=b:{'A' * 4 * MAX_PICTURE_BYTES}",
    ],
)
def test_what_is_no_picture_or_too_large_costs_only_the_picture(photo: str) -> None:
    book = parse_address_book(card(photo), "DE")
    assert (dict(book.names), dict(book.pictures)) == ({"+4911": "Jane"}, {})


def test_of_two_entries_for_a_number_the_first_has_name_and_picture() -> None:
    assert parse_address_book(card() + card(f"PHOTO;ENCODING=b:{ENCODED}"), "DE").pictures == {}
