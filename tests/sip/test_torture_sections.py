"""RFC 4475 and RFC 5118 section by section: what this user agent does with each message.

It is no registrar and no proxy, so REGISTER is refused for its method (405) whatever else is odd about it, as RFC 4475
has it for elements that do not support a method.
"""

import pytest

from tests.sip.torture_messages import ACCEPTED, LATE, REFUSED
from tests.sip.treatment import treatment

SECTIONS = """
    4475 3.1.1.1   wsinv       481      the To tag names a dialog that we do not have
    4475 3.1.1.2   intmeth     501
    4475 3.1.1.3   esc01       call
    4475 3.1.1.4   escnull     405
    4475 3.1.1.5   esc02       501      RE%47IST%45R is not REGISTER
    4475 3.1.1.6   lwsdisp     200
    4475 3.1.1.7   longreq     call
    4475 3.1.1.8   dblreq      405      only the first message of a datagram
    4475 3.1.1.9   semiuri     200
    4475 3.1.1.10  transports  200
    4475 3.1.1.11  mpart01     405
    4475 3.1.1.12  unreason    silence  no transaction of ours
    4475 3.1.1.13  noreason    silence
    4475 3.1.2.1   badinv01    400
    4475 3.1.2.2   clerr       400
    4475 3.1.2.3   ncl         400
    4475 3.1.2.4   scalar02-cseq          400
    4475 3.1.2.4   scalar02-max-forwards  400
    4475 3.1.2.4   scalar02-expires       400
    4475 3.1.2.5   scalarlg    silence
    4475 3.1.2.6   quotbal     400
    4475 3.1.2.7   ltgtruri    400
    4475 3.1.2.8   lwsruri     400
    4475 3.1.2.9   lwsstart    400
    4475 3.1.2.10  trws        400
    4475 3.1.2.11  escruri     400
    4475 3.1.2.12  baddate     call     Date is ignored
    4475 3.1.2.13  regbadct    405
    4475 3.1.2.14  badaspec    400
    4475 3.1.2.15  baddn       200      read leniently
    4475 3.1.2.16  badvers     505
    4475 3.1.2.17  mismatch01  400
    4475 3.1.2.18  mismatch02  400
    4475 3.1.2.19  bigcode     silence
    4475 3.2.1     badbranch   200      matched as RFC 2543 does
    4475 3.3.1     insuf       400
    4475 3.3.2     unkscm      416
    4475 3.3.3     novelsc     416
    4475 3.3.4     unksm2      405
    4475 3.3.5     bext01      420
    4475 3.3.6     invut       415
    4475 3.3.7     regaut01    405
    4475 3.3.8     multi01     400
    4475 3.3.9     mcl01       400
    4475 3.3.10    bcast       silence  the second Via is not ours
    4475 3.3.11    zeromf      200      we are the target
    4475 3.3.12    cparam01    405
    4475 3.3.13    cparam02    405
    4475 3.3.14    regescrt    405
    4475 3.3.15    sdp01       406
    4475 3.4.1     inv2543     call
    5118 4.1       ipv6-good   405
    5118 4.2       ipv6-bad    400
    5118 4.3       port-ambiguous    405
    5118 4.4       port-unambiguous  405
    5118 4.5       via-received-param-with-delim  481
    5118 4.5       via-received-param-no-delim    200
    5118 4.6       ipv6-in-sdp        call
    5118 4.7       mult-ip-in-header  481
    5118 4.8       mult-ip-in-sdp     call
    5118 4.9       ipv4-mapped-ipv6   call
    5118 4.10      ipv6-bug-abnf-3-colons  400
"""
ROWS = [line.split(maxsplit=4)[:4] for line in SECTIONS.strip().splitlines()]
WIRES = {**ACCEPTED, **LATE, **{name: case.wire for name, case in REFUSED.items()}}


@pytest.mark.parametrize(("rfc", "section", "name", "expected"), ROWS, ids=[" ".join(row[:3]) for row in ROWS])
def test_a_torture_message_is_treated_as_its_section_says(rfc: str, section: str, name: str, expected: str) -> None:
    assert treatment(WIRES[name]) == expected


def test_no_section_of_the_torture_tests_is_missing() -> None:
    valid, invalid = range(1, 14), range(1, 20)
    wanted = [*(f"3.1.1.{n}" for n in valid), *(f"3.1.2.{n}" for n in invalid), "3.2.1"]
    wanted += [*(f"3.3.{n}" for n in range(1, 16)), "3.4.1"]
    assert list(dict.fromkeys(row[1] for row in ROWS if row[0] == "4475")) == wanted
    assert len(wanted) == 49
    assert list(dict.fromkeys(row[1] for row in ROWS if row[0] == "5118")) == [f"4.{n}" for n in range(1, 11)]
