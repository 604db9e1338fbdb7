"""Callees that do one thing, written as sipp scenarios."""

from pathlib import Path

from tests.peers.sipp import builtin_scenario

_HEADERS = """      [last_Via:]
      [last_From:]
      [last_To:];tag=[pid]SIPpTag[call_number]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:[local_ip]:[local_port];transport=[transport]>
      Content-Length: 0
"""

_REFUSING = f"""<?xml version="1.0" encoding="UTF-8"?>
<scenario name="refuses">
  <recv request="INVITE"/>
  <send><![CDATA[
      SIP/2.0 180 Ringing
{_HEADERS}
  ]]></send>
  <send retrans="500"><![CDATA[
      SIP/2.0 {{status}} {{phrase}}
{_HEADERS}
  ]]></send>
  <recv request="ACK"/>
</scenario>
"""

_DEAD = f"""<?xml version="1.0" encoding="UTF-8"?>
<scenario name="fails, and nobody has heard anything">
  <recv request="INVITE"/>
{{trying}}
  <send retrans="500"><![CDATA[
      SIP/2.0 {{status}} Failure
{_HEADERS}
  ]]></send>
  <recv request="ACK"/>
</scenario>
"""
_TRYING = f"""  <send><![CDATA[
      SIP/2.0 100 Trying
{_HEADERS.replace(";tag=[pid]SIPpTag[call_number]", "")}
  ]]></send>
  <pause milliseconds="200"/>"""

_RINGING = f"""<?xml version="1.0" encoding="UTF-8"?>
<scenario name="rings until it is cancelled">
  <recv request="INVITE"/>
  <send><![CDATA[
      SIP/2.0 180 Ringing
{_HEADERS}
  ]]></send>
  <recv request="CANCEL" timeout="30000"/>
  <send><![CDATA[
      SIP/2.0 200 OK
{_HEADERS}
  ]]></send>
  <send retrans="500"><![CDATA[
      SIP/2.0 487 Request Terminated
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      CSeq: [cseq] INVITE
      Content-Length: 0

  ]]></send>
  <recv request="ACK"/>
</scenario>
"""


def refusing(directory: Path, status: int, phrase: str) -> Path:
    """A callee that rings and then refuses with `status`."""
    path = directory / f"refuses-{status}.xml"
    path.write_text(_REFUSING.format(status=status, phrase=phrase))
    return path


def dead(directory: Path, status: int, *, trying: bool = False) -> Path:
    """A trunk that fails with `status` at once, or some time after a 100."""
    path = directory / f"dead-{status}.xml"
    path.write_text(_DEAD.format(status=status, trying=_TRYING if trying else ""))
    return path


def ringing(directory: Path) -> Path:
    """A callee that rings until the call is cancelled; the script succeeds only if CANCEL came."""
    path = directory / "rings.xml"
    path.write_text(_RINGING)
    return path


_ANSWERING = f"""<?xml version="1.0" encoding="UTF-8"?>
<scenario name="answers, and hangs up after a while if the caller has not">
  <recv request="INVITE" rrs="true">
    <action>
      <ereg regexp=".*" search_in="hdr" header="From:" assign_to="caller"/>
      <ereg regexp=".*" search_in="hdr" header="To:" assign_to="callee"/>
    </action>
  </recv>
  <send><![CDATA[
      SIP/2.0 180 Ringing
{_HEADERS}
  ]]></send>
  <send retrans="500"><![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:];tag=[pid]SIPpTag[call_number]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:[local_ip]:[local_port];transport=[transport]>
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=script 1 1 IN IP4 [local_ip]
      s=-
      c=IN IP4 [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000
  ]]></send>
  <recv request="ACK"/>
  <recv request="BYE" timeout="{{hold_ms}}" ontimeout="bored" next="thank"/>
  <label id="bored"/>
  <send retrans="500"><![CDATA[
      BYE [next_url] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: [$callee];tag=[pid]SIPpTag[call_number]
      To: [$caller]
      [last_Call-ID:]
      CSeq: 1 BYE
      Max-Forwards: 70
      Content-Length: 0

  ]]></send>
  <recv response="200" next="end"/>
  <label id="thank"/>
  <send><![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0

  ]]></send>
  <label id="end"/>
</scenario>
"""


def answering(directory: Path, *, hold_ms: int) -> Path:
    """A callee that answers, and after `hold_ms` hangs up unless the caller did."""
    path = directory / f"answers-{hold_ms}.xml"
    path.write_text(_ANSWERING.format(hold_ms=hold_ms))
    return path


def calling(directory: Path, caller: str) -> Path:
    """The caller that is built into sipp, with a telephone number of its own, dialling the numbers of a file."""
    path = directory / "calls.xml"
    scenario = builtin_scenario("uac").replace("sip:sipp@", f"sip:{caller}@").replace("[service]", "[field0]")
    path.write_text(scenario)
    return path


_DESCRIPTION = """      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=script 1 1 IN IP4 [local_ip]
      s=-
      c=IN IP4 [local_ip]
      t=0 0
      m=audio {media_port} RTP/AVP 0
      a=rtpmap:0 PCMU/8000
"""
_OF_THE_INVITE = _HEADERS.replace("      Content-Length: 0\n", "")
_ANNOUNCING = f"""<?xml version="1.0" encoding="UTF-8"?>
<scenario name="is heard, then answers or refuses">
  <recv request="INVITE"/>
  <send><![CDATA[
      SIP/2.0 183 Session Progress
{_OF_THE_INVITE}{_DESCRIPTION}
  ]]></send>
  <pause milliseconds="8000"/>
  <send retrans="500"><![CDATA[
      SIP/2.0 {{status}} Whatever
{{final}}
  ]]></send>
  <recv request="ACK"/>
{{after}}
</scenario>
"""
_UNTIL_BYE = f"""  <recv request="BYE" timeout="30000"/>
  <send><![CDATA[
      SIP/2.0 200 OK
{_HEADERS}
  ]]></send>"""


def announcing(directory: Path, status: int, *, media_port: int) -> Path:
    """A callee whose 183 says where to hear it, and which some seconds later answers (200) or refuses."""
    answers = status == 200
    final = _OF_THE_INVITE + _DESCRIPTION.format(media_port=media_port) if answers else _HEADERS
    path = directory / f"announces-{status}.xml"
    after = _UNTIL_BYE if answers else ""
    path.write_text(_ANNOUNCING.format(status=status, media_port=media_port, final=final, after=after))
    return path
