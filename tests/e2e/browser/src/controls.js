// What a person does in a call besides talking, and what the page shows of it.
const dtls = (call) => call.peerConn.getTransceivers()[0]?.sender.transport;

export const controls = {
    hold: (call, onHold) => call.setRemoteOnHold(onHold),
    mute: (call, muted) => call.setMicrophoneMuted(muted),
    showCamera: (call) => call.setLocalVideoMuted(false),
    restartIce: (call) => call.peerConn.restartIce(),
    press: (call, digit) => call.sendDtmfDigit(digit),
    transfer: (call, userId) => call.transfer(userId),
};

/** The value of the last attribute of this name. */
function attribute(sdp, name) {
    return sdp?.match(new RegExp(`a=${name}:(\\S+)`))?.[1] ?? null;
}

/** All that a test looks at while a call is up. */
export function look(call) {
    const { peerConn } = call;
    const audio = peerConn.getTransceivers().find(({ receiver }) => receiver.track.kind === "audio");
    return {
        settled: peerConn.signalingState === "stable",
        direction: audio?.currentDirection ?? null,
        holds: call.isRemoteOnHold(),
        isHeld: call.isLocalOnHold(),
        muted: call.isMicrophoneMuted(),
        hasKeypad: call.opponentSupportsDTMF(),
        connection: peerConn.connectionState,
        association: dtls(call)?.state ?? null,
        credentials: attribute(peerConn.remoteDescription?.sdp, "ice-ufrag"),
        certificate: attribute(peerConn.remoteDescription?.sdp, "fingerprint"),
        video: peerConn.remoteDescription?.sdp.match(/m=video (\d+)/)?.[1] ?? null,
    };
}
