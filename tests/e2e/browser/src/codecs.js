// Limits the codecs of calls to come, as clients do that speak Opus only.
const originals = {
    createOffer: RTCPeerConnection.prototype.createOffer,
    createAnswer: RTCPeerConnection.prototype.createAnswer,
};

function preferOnly(peerConnection, wanted) {
    const codecs = RTCRtpReceiver.getCapabilities("audio").codecs;
    const allowed = codecs.filter(({ mimeType }) => wanted.includes(mimeType.toLowerCase()));
    for (const transceiver of peerConnection.getTransceivers()) {
        if (transceiver.receiver.track.kind === "audio") transceiver.setCodecPreferences(allowed);
    }
}

/** `wanted` lists MIME types in lower case (`audio/opus`); nothing lifts the limit. */
export function restrictCodecs(wanted) {
    for (const [name, original] of Object.entries(originals)) {
        RTCPeerConnection.prototype[name] = function (...args) {
            if (wanted) preferOnly(this, wanted);
            return original.apply(this, args);
        };
    }
}
