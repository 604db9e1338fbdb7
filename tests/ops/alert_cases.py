"""What each alert is for, as time series: those that make it fire, and close to them those that do not.

In promtool's notation, one value a minute: `0x9` is ten times 0, `0+5x9` rises by 5 each time, `_` is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

HOME = 'instance="bridge:9464"'
WATCHED = {f"trunkline_build_info{{{HOME}}}": "1x600"}
"""A bridge that is scraped all the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One alert."""

    fires: Mapping[str, str]
    quiet: Mapping[str, str]
    after: str = "10m"
    every: str = "1m"
    """How far apart values and evaluations are."""
    also: frozenset[str] = frozenset()
    """Others that the same reason sets off."""


def _level(
    metric: str,
    fires: float | str,
    quiet: float | str,
    labels: str = "",
    *,
    after: str = "10m",
    every: str = "1m",
    also: frozenset[str] = frozenset(),
) -> Case:
    """A level that stays, or values in promtool's notation."""
    series = f"trunkline_{metric}{{{HOME}{',' * bool(labels)}{labels}}}"
    firing, silent = ({series: value if isinstance(value, str) else f"{value}x60"} for value in (fires, quiet))
    return Case(fires=firing, quiet=silent, after=after, every=every, also=also)


def _either(series: str, fires: str, quiet: str) -> Case:
    return Case(fires={series: fires}, quiet={series: quiet})


def _slow(metric: str, limit: str, beyond: str, labels: str) -> Case:
    """A distribution whose values are all below `limit`, or all between that and `beyond`."""

    def buckets(below: int) -> dict[str, str]:
        counts = {limit: below, beyond: 10, "+Inf": 10}
        name = f"trunkline_{metric}_bucket"
        return {f'{name}{{{HOME},{labels},le="{le}"}}': f"0+{each}x60" for le, each in counts.items()}

    return Case(fires=buckets(0), quiet=buckets(10), after="45m")


def _calls(result: str, reason: str, values: str, trunk: str = "carrier") -> dict[str, str]:
    labels = f'{HOME},direction="outbound",trunk="{trunk}",result="{result}",reason="{reason}"'
    return {f"trunkline_calls_total{{{labels}}}": values}


def _answered(values: str) -> dict[str, str]:
    return _calls("success", "completed", values)


def _loss(lost: str) -> dict[str, str]:
    labels = f'{{{HOME},leg="sip",direction="in"}}'
    return {f"trunkline_rtp_packets_total{labels}": "0+3000x60", f"trunkline_rtp_lost_total{labels}": lost}


def _frames(concealed: str) -> dict[str, str]:
    return {
        f'trunkline_audio_frames_total{{{HOME},heard_by="sip",kind="{kind}"}}': values
        for kind, values in (("played", "0+3000x60"), ("concealed", concealed))
    }


def _opinions(each: Mapping[str, int]) -> dict[str, str]:
    """So many calls a minute are rated no better."""
    labels = f'{HOME},heard_by="sip"'
    buckets = {f'trunkline_media_mos_bucket{{{labels},le="{le}"}}': f"0+{calls}x60" for le, calls in each.items()}
    return {**buckets, f"trunkline_media_mos_count{{{labels}}}": f"0+{each['+Inf']}x60"}


def _noise(each: str) -> dict[str, str]:
    """Half of it is known for noise at its first bytes."""
    metrics = {"sip_parse_errors_total": 'kind="message"', "sip_dropped_total": 'reason="malformed"'}
    return {f"trunkline_{metric}{{{HOME},{labels}}}": each for metric, labels in metrics.items()}


def _guesses(**tried: str) -> dict[str, str]:
    return {f'trunkline_wrong_tokens_total{{{HOME},at="{at}"}}': each for at, each in tried.items()}


def _homeserver(up: str) -> dict[str, str]:
    """With another token than ours it is refused as well, and not up."""
    return {f"trunkline_matrix_homeserver_up{{{HOME}}}": up}


_DAY_S = 86_400

CASES: Mapping[str, Case] = {
    # The process.
    "TrunklineDown": _either(f'up{{{HOME},job="trunkline"}}', "1 1 0x20", "1x8 0 1x20"),
    "TrunklineRestarts": _either(
        f'process_start_time_seconds{{{HOME},job="trunkline"}}', "1 1 2 3 4 4x9", "1 1 2 3 3 3x9"
    ),
    "InternalError": _level("internal_errors_total", "0x5 1x20", "7x60", 'component="sip"'),
    "ConfigurationRefused": _level("config_last_reload_successful", 0, 1),
    "EventLoopLate": _slow("event_loop_lag_seconds", "0.05", "0.1", 'loop="media"'),
    "SelfTestFails": _level("self_test_success", 0, 1, 'through="echo"'),
    "StoreFails": _level("check_passes", 0, 1, 'check="store"'),
    "StoreSlow": _slow("db_seconds", "0.5", "2.0", 'operation="write"'),
    "DiskAlmostFull": _level("store_disk_free_ratio", 0.09, 0.11),
    "CallRecordsNotWritten": _level("call_records_total", "0x5 1x20", "7x60", 'outcome="failed"'),
    "CertificateExpires": _level("tls_certificate_expires_timestamp_seconds", 13 * _DAY_S, 15 * _DAY_S),
    # Calls. One call a minute fails in a thousand, or a hundred.
    "CallsFailFast": Case(
        fires=_answered("0+100x60") | _calls("server", "internal_error", "0+2x60"),
        quiet=_answered("0+1000x60") | _calls("server", "internal_error", "0+1x60"),
        after="50m",
        also=frozenset({"CallsFail"}),
    ),
    "CallsFail": Case(
        fires=_answered("0+100x60") | _calls("server", "internal_error", "0+1x60"),
        quiet=_answered("0+100x60") | _calls("upstream", "trunk_failure", "0+100x60"),
        after="50m",
    ),
    "FewCallsAnswered": Case(
        fires=_answered("0+1x60") | _calls("client", "no_answer", "0+2x60"),
        quiet=_answered("0+1x60") | _calls("client", "no_answer", "0+1x60") | _calls("policy", "blocked", "0+9x60"),
        after="50m",
    ),
    "FewerCallsAnswered": Case(
        fires=_answered("0+45x60 2700+25x24") | _calls("client", "busy", "0+5x60 300+25x24"),
        quiet=_answered("0+45x60 2700+40x24") | _calls("client", "busy", "0+5x60 300+10x24"),
        after="6h40m",
        every="5m",
    ),
    "RingsLate": _slow("post_dial_delay_seconds", "6.0", "10.0", 'trunk="carrier"'),
    "AudioComesLate": _slow("call_connect_seconds", "3.0", "6.0", 'direction="outbound"'),
    "CallNeverEnds": _level("longest_call_seconds", 14_460, 14_340),
    # SIP.
    "NoTrunkUp": _level("trunk_up", 0, 1, 'trunk="carrier"', also=frozenset({"TrunkDown"})),
    "TrunkDown": Case(
        fires={f'trunkline_trunk_up{{{HOME},trunk="{trunk}"}}': f"{up}x60" for trunk, up in (("a", 0), ("b", 1))},
        quiet={f'trunkline_trunk_up{{{HOME},trunk="{trunk}"}}': "1x60" for trunk in "ab"},
    ),
    "RegistrationNotRefreshed": _level(
        "registration_expires_timestamp_seconds", "60 90 120 120x20", "60+60x60", 'trunk="carrier"'
    ),
    "SipOverload": _level("sip_shed_level", 1, 0),
    "UnreadableMessages": Case(fires=_noise("0+1600x60"), quiet=_noise("0+1400x60")),
    "StrangersAtThePort": _level("sip_dropped_total", "0+30x60", "0+15x60", 'reason="acl"', after="30m"),
    # Matrix.
    "HomeserverSilent": _level("matrix_homeserver_up", 0, 1),
    "MatrixEventsLate": _slow("matrix_event_lag_seconds", "1.0", "2.0", 'job="trunkline"'),
    "OutboxFull": _level("matrix_outbox_depth", 101, 100),
    "MatrixEventsNotSent": _level("matrix_send_total", "0x5 10x20", "0x5 2x20", 'kind="answer",outcome="failed"'),
    "MatrixEventsNotUnderstood": _level("matrix_dead_letters_total", "0x5 1x20", "0x60", 'reason="broken"'),
    # Audio.
    "PacketsLost": Case(fires=_loss("0+120x60"), quiet=_loss("0+60x60"), after="15m"),
    "PacketsUnsteady": _slow("rtp_jitter_seconds", "0.02", "0.05", 'leg="matrix"'),
    "AudioMadeUp": Case(fires=_frames("0+200x60"), quiet=_frames("0+100x60"), after="15m"),
    "SoundsBad": Case(
        fires=_opinions({"3.0": 9, "+Inf": 9}),
        quiet=_opinions({"3.0": 1, "4.4": 9, "+Inf": 9}),
        after="45m",
    ),
    "OneWayAudio": _level("one_way_calls_total", "0x5 2x20", "0x5 1x20", 'silent="sip"'),
    "NoAudio": _level("silent_calls_total", "0x5 2x20", "0x5 1x20"),
    "ClientsDoNotConnect": _level("webrtc_not_connected_total", "0x5 5x20", "0x5 2x20", 'missing="ice"'),
    "MediaServerDown": _level("media_server_up", 0, 1, 'server="1"'),
    "NoRoomForAudio": Case(
        fires=_answered("0+1000x60") | _calls("server", "media_exhausted", "_x5 1x20"),
        quiet=_answered("0+1000x60") | _calls("server", "media_exhausted", "1x60"),
        after="12m",
    ),
    # Money.
    "SpendsFast": _level("spend_total", "0+2x510 1020+30x9", "0+2x520", 'trunk="carrier"', after="172h", every="20m"),
    "LimitReached": Case(
        fires=_calls("policy", "limit_reached", "_x5 1x20"),
        quiet=_calls("policy", "limit_reached", "1x60"),
        after="12m",
    ),
    "UserSuspended": _level("suspensions_total", "0x5 1x20", "1x60", 'reason="wangiri"'),
    "TokenGuessed": Case(
        fires=_guesses(admin="0+3x60", appservice="0+1x60") | _homeserver("0x60"),
        quiet=_guesses(admin="0+1x60", console="0+1x60", appservice="0+9x60") | _homeserver("0x8 1x60"),
        also=frozenset({"HomeserverSilent"}),
    ),
}
