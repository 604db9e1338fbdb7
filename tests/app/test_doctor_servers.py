"""What the doctor says of names and servers that calls need on the way to the outside: STUN, TURN, our own name."""

from pathlib import Path
from typing import Any

import pytest

from bridge.app.doctor.findings import Finding, Grade
from bridge.app.doctor.ice_servers import ice_server_findings
from bridge.app.doctor.trunks import TrunkCheck
from bridge.config import load_config, media_settings, sip_settings
from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from tests.app.test_doctor import examined, written
from tests.patience import PATIENCE_S
from tests.peers.certificates import Authority
from tests.peers.coturn import PASSWORD, SECRET, USER, Coturn
from tests.peers.process import LOOPBACK, free_port

_SOON_S = 0.5
"""For servers that are not there."""


async def asked(directory: Path, *, limit_s: float = PATIENCE_S, **media: Any) -> list[Finding]:
    settings = media_settings(load_config(written(directory, media=media), {}))
    return [finding async for finding in ice_server_findings(settings, SystemClock(), limit_s=limit_s)]


def turn(coturn: Coturn, *transports: str, **credentials: str) -> dict[str, Any]:
    return {"uris": [f"turn:{LOOPBACK}:{coturn.port}?transport={each}" for each in transports], **credentials}


async def test_servers_that_answer_are_told_and_nothing_of_theirs_is_kept(tmp_path: Path) -> None:
    async with Coturn(tmp_path) as coturn:
        servers = turn(coturn, "udp", "tcp", username=USER, password=PASSWORD)
        findings = await asked(tmp_path, stun_servers=[f"{LOOPBACK}:{coturn.port}"], turn=servers)
        await coturn.given_back()
    assert [finding.grade for finding in findings] == [Grade.OK] * 3
    assert [finding.subject for finding in findings] == ["media.stun_servers", "media.turn", "media.turn"]
    assert findings[0].seen == f"{LOOPBACK}:{coturn.port} answers, and sees this machine at {LOOPBACK}"


async def test_a_shared_secret_is_tried_too(tmp_path: Path) -> None:
    async with Coturn(tmp_path, shared_secret=True) as coturn:
        [right] = await asked(tmp_path, turn=turn(coturn, "udp", shared_secret=SECRET))
        [wrong] = await asked(tmp_path, turn=turn(coturn, "udp", shared_secret="of another server"))
    assert right.grade is Grade.OK
    assert wrong.grade is Grade.WARNING
    assert wrong.seen == f"{LOOPBACK}:{coturn.port} (udp) refuses us with error 401"
    assert "shared_secret" in wrong.advice


async def test_a_turn_server_whose_certificate_is_not_believed_is_told(tmp_path: Path) -> None:
    async with Coturn(tmp_path, identity=Authority(tmp_path).issue()) as coturn:
        uri = f"turns:{LOOPBACK}:{coturn.tls_port}"
        [finding] = await asked(tmp_path, turn={"uris": [uri], "username": USER, "password": PASSWORD})
    assert finding.grade is Grade.WARNING
    assert "certificate verify failed" in finding.seen


@pytest.mark.parametrize(("transport", "seen"), [("udp", "gives no answer within"), ("tcp", "cannot be reached")])
async def test_servers_that_are_not_there_are_told_within_the_limit(tmp_path: Path, transport: str, seen: str) -> None:
    media = {
        "stun_servers": [f"{LOOPBACK}:{free_port()}"],
        "turn": {"uris": [f"turn:{LOOPBACK}:{free_port()}?transport={transport}"], "shared_secret": SECRET},
    }
    findings = await examined(written(tmp_path, media=media), limit_s=_SOON_S)
    told = {finding.subject: finding for finding in findings}
    assert told["media.stun_servers"].grade is told["media.turn"].grade is Grade.WARNING
    assert "gives no answer within" in told["media.stun_servers"].seen
    assert seen in told["media.turn"].seen


async def test_a_server_without_an_address_is_told(tmp_path: Path) -> None:
    [finding] = await asked(tmp_path, stun_servers=["stun.invalid"])
    assert "has no address that anybody knows" in finding.seen


async def test_nobody_is_asked_where_rtpengine_carries_the_audio(tmp_path: Path) -> None:
    servers = {"engine": "rtpengine", "rtpengine": [f"{LOOPBACK}:{free_port()}"]}
    assert not await asked(tmp_path, stun_servers=[f"{LOOPBACK}:{free_port()}"], limit_s=_SOON_S, **servers)


@pytest.mark.parametrize(
    ("host", "grades"), [("nosuch.invalid", [Grade.FAULT]), ("localhost", [Grade.OK]), ("192.0.2.1", [])]
)
async def test_the_name_that_trunks_are_told_has_to_lead_somewhere(
    tmp_path: Path, host: str, grades: list[Grade]
) -> None:
    config = load_config(written(tmp_path, sip={"advertised_host": host}), {})
    check = TrunkCheck(settings=sip_settings(config), clock=SystemClock(), entropy=SystemEntropy())
    findings = await check.advertised()
    assert [finding.grade for finding in findings] == grades
    assert all(finding.subject == "sip.advertised_host" for finding in findings)
