// Puts the page behind a network that a test can cut: the bridge is known by the addresses of relays only, and learns
// none of ours.
const { localDescription } = Object.getOwnPropertyDescriptors(RTCPeerConnection.prototype);
const { setRemoteDescription, addEventListener } = RTCPeerConnection.prototype;

/** The description with each candidate's port replaced by that of its relay. */
async function relayed({ type, sdp }) {
    const lines = sdp.split("\r\n").map(async (line) => {
        const port = line.match(/^a=candidate:.* (\d+) typ/)?.[1];
        return port ? line.replace(` ${port} typ`, ` ${await window.relayFor(Number(port))} typ`) : line;
    });
    return { type, sdp: (await Promise.all(lines)).join("\r\n") };
}

/** `window.relayFor` gives the relay's port for one of the bridge's. */
export function goThroughRelays() {
    const prototype = RTCPeerConnection.prototype;
    prototype.setRemoteDescription = async function (description) {
        return setRemoteDescription.call(this, await relayed(description));
    };
    prototype.addEventListener = function (kind, ...rest) {
        if (kind !== "icecandidate") addEventListener.call(this, kind, ...rest);
    };
    Object.defineProperty(prototype, "localDescription", {
        get() {
            const own = localDescription.get.call(this);
            return own && new RTCSessionDescription({ type: own.type, sdp: own.sdp.replace(/a=candidate:.*\r\n/g, "") });
        },
    });
}
