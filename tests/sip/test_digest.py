"""Digest credentials, held against the examples of the RFCs."""

import pytest

from bridge.sip import Challenge, LocalSipError, Response
from bridge.sip.digest import authorization, choose


def answer(challenge: Challenge, **changes: str) -> str:
    fields = {
        "method": "GET",
        "uri": "/dir/index.html",
        "username": "Mufasa",
        "password": "Circle of Life",
        "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        **changes,
    }
    return authorization(challenge, nc=1, **fields)


def only(value: str) -> Challenge:
    (challenge,) = Challenge.parse_all([value])
    return challenge


RFC_7616 = 'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, nonce="{}", opaque="{}"'
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_examples(algorithm: str, response: str) -> None:
    challenge = only(RFC_7616.format(algorithm, NONCE, OPAQUE))
    assert challenge.qop == ("auth", "auth-int")
    assert answer(challenge) == (
        'Digest username="Mufasa", realm="http-auth@example.org", '
        f'nonce="{NONCE}", uri="/dir/index.html", response="{response}", '
        f'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", nc=00000001, qop=auth, algorithm={algorithm}, '
        f'opaque="{OPAQUE}"'
    )


def test_rfc_2617_example() -> None:
    challenge = only(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    )
    value = answer(challenge, password="Circle Of Life", cnonce="0a4f113b")
    assert 'response="6629fae49393a05397450978507c4ef1"' in value
    assert "algorithm" not in value
    assert "opaque" not in value


def test_a_server_without_qop_gets_the_short_form() -> None:
    challenge = only('Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"')
    value = answer(challenge, password="Circle Of Life")
    assert 'response="670fd8c2df070c60b045671b8b24ff02"' in value
    assert "qop" not in value
    assert "nc=" not in value
    assert "cnonce" not in value


def test_session_algorithms_mix_in_the_nonces() -> None:
    challenge = only('Digest realm="r", nonce="n", algorithm=MD5-sess, qop="auth"')
    # H(H(H(u:r:p):n:c):n:00000001:c:auth:H(GET:/dir/index.html))
    assert 'response="' in answer(challenge)
    assert answer(challenge, cnonce="a") != answer(challenge, cnonce="b")
    no_qop = only('Digest realm="r", nonce="n", algorithm=SHA-256-sess')
    assert "cnonce=" in answer(no_qop)


def test_the_topmost_challenge_that_we_can_answer_is_chosen() -> None:
    challenges = Challenge.parse_all(
        [
            'Digest realm="a", nonce="1", algorithm=SHA-999',
            'Digest realm="a", nonce="2", qop="auth-int"',
            'Basic realm="a"',
            "Negotiate",
            'Digest realm="a", nonce="3", algorithm=SHA-256, qop="auth"',
            'Digest realm="b", nonce="4", algorithm=md5',
        ]
    )
    assert [item.nonce for item in challenges] == ["1", "2", "3", "4"]
    chosen = choose(challenges)
    assert chosen is not None
    assert chosen.nonce == "3"
    other = choose(challenges, realm="b")
    assert other is not None
    assert other.nonce == "4"
    assert choose(challenges, realm="evil") is None
    assert choose([]) is None
    with pytest.raises(LocalSipError):
        answer(challenges[0])


def test_several_challenges_in_one_value_are_told_apart() -> None:
    challenges = Challenge.parse_all(['Digest realm="a,b", nonce="1", , stale=TRUE, Digest nonce="2", realm="c"'])
    assert [(item.realm, item.nonce, item.stale) for item in challenges] == [("a,b", "1", True), ("c", "2", False)]


def test_spelling_and_blanks_are_tolerated() -> None:
    challenge = only('DIGEST  Realm = "a" , NONCE="b",Algorithm="MD5",qop=auth , stale = "true"')
    assert (challenge.realm, challenge.nonce, challenge.algorithm) == ("a", "b", "MD5")
    assert challenge.qop == ("auth",)
    assert challenge.stale


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Digest",
        "Digest realm",
        'Digest realm="a"',
        'Digest nonce="a"',
        'realm="a", nonce="b"',
        'Digest realm="a, nonce="b"',
        'Basic realm="a"',
    ],
)
def test_a_malformed_challenge_is_none(value: str) -> None:
    assert Challenge.parse_all([value]) == []


def test_a_malformed_challenge_does_not_hide_the_next() -> None:
    values = ['Digest realm="a', "Digest realm=b", "Digest", ", ,", "="]
    assert [item.realm for item in Challenge.parse_all(values)] == []
    assert [item.realm for item in Challenge.parse_all([*values, 'Digest realm="c", nonce="d"'])] == ["c"]


def test_quotes_are_taken_off_for_the_hash_and_put_on_for_the_wire() -> None:
    challenge = only('Digest realm="say \\"hi\\"", nonce="n"')
    assert challenge.realm == 'say "hi"'
    value = answer(challenge, username='a"b\\c')
    assert 'username="a\\"b\\\\c"' in value
    assert 'realm="say \\"hi\\""' in value


@pytest.mark.parametrize("field", ["username", "uri", "cnonce", "method"])
def test_no_line_can_be_smuggled_out_in_credentials(field: str) -> None:
    challenge = only('Digest realm="r", nonce="n", qop="auth"')
    with pytest.raises(LocalSipError):
        answer(challenge, **{field: "a\r\nVia: x"})


def test_a_response_tells_who_asks_and_where_the_answer_goes() -> None:
    response = Response(
        407,
        None,
        [("Proxy-Authenticate", 'Digest realm="p", nonce="1"'), ("WWW-Authenticate", 'Digest realm="w", nonce="2"')],
    )
    assert [(item.realm, item.credentials_header) for item in response.challenges] == [
        ("w", "Authorization"),
        ("p", "Proxy-Authorization"),
    ]
