"""Metrics of audio: sessions, servers, ICE and DTLS, packets, and what people heard."""

from bridge.ops.declarations.label_values import CANDIDATE_FAULTS, LEGS, WAYS
from bridge.ops.declarations.metric import (
    LAG_S,
    NETWORK_S,
    OPINIONS,
    SERVERS,
    SHARES,
    counter,
    gauge,
    histogram,
    one_of,
)

MEDIA = (
    gauge("media_sessions", "Calls with an audio session."),
    gauge("media_ports_in_use", "UDP ports of audio in use: two of each call, and one for each of media.webrtc_hosts."),
    gauge(
        "media_server_up",
        "Whether a server of media.rtpengine answers; the label is its place in that list.",
        server=SERVERS,
    ),
    gauge("media_server_sessions", "Sessions on a server of media.rtpengine, of whatever bridge.", server=SERVERS),
    counter(
        "media_server_requests_total",
        "Commands to such servers: done, refused, full (so that the next one is asked), or without an answer.",
        server=SERVERS,
        result=one_of("ok", "refused", "full", "silent"),
    ),
    counter(
        "webrtc_not_connected_total",
        "Answered calls without audio, by what did not come up; dtls_refused: a handshake failed, or its certificate.",
        missing=one_of("ice", "dtls", "dtls_refused"),
    ),
    counter(
        "ice_restarts_total",
        "Clients that came back over another network path, and kept their audio or did not.",
        result=one_of("success", "failed"),
    ),
    counter("media_workers_ended_total", "Processes of the portable packet path that ended with their calls."),
    counter("media_offpath_dropped_total", "Datagrams from addresses that ICE has not validated."),
    counter("ice_candidates_ignored_total", "Candidates that are of no use.", reason=CANDIDATE_FAULTS),
    counter(
        "recordings_total",
        "Recordings of calls that have ended, by why.",
        end=one_of("stopped", "time_limit", "size_limit", "closed", "disk", "failed", "behind"),
    ),
    counter(
        "ice_servers_asked_total",
        "Requests for candidates to STUN and TURN servers.",
        kind=one_of("stun", "turn"),
        result=one_of("success", "failed"),
    ),
    counter(
        "rtp_discarded_total",
        "Packets that were not played.",
        reason=one_of("source", "malformed", "unproven", "srtp", "replay", "rate", "streams", "late"),
    ),
    counter("rtp_packets_total", "Packets that came, or were sent.", leg=LEGS, direction=WAYS),
    counter(
        "rtp_lost_total",
        "Packets that never came: in, to us; out, from us to the far end, by its own reports.",
        leg=LEGS,
        direction=WAYS,
    ),
    counter(
        "audio_frames_total",
        "20 ms each of audio that was transcoded: as they came, or made up because they did not.",
        heard_by=LEGS,
        kind=one_of("played", "concealed"),
    ),
    histogram("rtp_jitter_seconds", "Interarrival jitter, every 5 s of a call.", LAG_S, leg=LEGS),
    histogram("rtp_round_trip_seconds", "To the far end and back, every 5 s of a call.", NETWORK_S, leg=LEGS),
    histogram(
        "playout_delay_seconds",
        "How long transcoded audio is held back so that late packets are in time, every 5 s of a call.",
        LAG_S,
        heard_by=LEGS,
    ),
    histogram(
        "concealed_ratio", "Share of a call's transcoded audio that was made up, at its end.", SHARES, heard_by=LEGS
    ),
    histogram(
        "media_mos", "Mean opinion score of a call, estimated by the E-model, at its end.", OPINIONS, heard_by=LEGS
    ),
    counter(
        "one_way_calls_total",
        "Calls in which one side was heard and the other was not, by whom nothing came from.",
        silent=LEGS,
    ),
    counter("silent_calls_total", "Calls in which nothing came from either side."),
)
