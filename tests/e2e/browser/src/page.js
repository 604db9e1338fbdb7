// One device of one Matrix user, as a person has it in a browser: `window.device` is what the tests press and look at.
import { ClientEvent, RoomEvent, createClient, createNewMatrixCall } from "matrix-js-sdk";
import { CallErrorCode, CallEvent } from "matrix-js-sdk/lib/webrtc/call.js";
import { CallEventHandlerEvent } from "matrix-js-sdk/lib/webrtc/callEventHandler.js";
import { Listener } from "./listener.js";
import { restrictCodecs } from "./codecs.js";
import { controls, look } from "./controls.js";
import { goThroughRelays } from "./relays.js";
import { createDirectRoom, directRooms } from "./rooms.js";

/** A call as the person sees it: every state it went through, and how it ended. */
class SeenCall {
    constructor(call) {
        this.call = call;
        this.states = [call.state];
        this.replacement = null;
        this.listener = null;
        call.on(CallEvent.State, (state) => this.states.push(state));
        call.on(CallEvent.FeedsChanged, () => this.#hear());
        call.on(CallEvent.Replaced, (replacement) => device.keep(replacement));
        call.on(CallEvent.Error, (error) => console.error(`call ${call.callId}: ${error}`));
        this.#hear();
    }

    get state() {
        return this.call.state;
    }

    summary() {
        const { callId, roomId, direction, state, hangupReason, hangupParty } = this.call;
        return { callId, roomId, direction, state, states: this.states, hangupReason, hangupParty };
    }

    /** After hold the far end's sound comes in a feed of its own. */
    #hear() {
        const stream = this.call.remoteUsermediaFeed?.stream;
        if (stream?.getAudioTracks().length) this.listener = new Listener(stream);
    }
}

class Device {
    calls = [];
    client = null;
    #hearing = Promise.resolve();
    #hearAgain = null;

    /** Log in and wait until the first sync is through. */
    async login({ homeserver, user, password, deviceId, joins }) {
        this.client = createClient({ baseUrl: homeserver });
        const { user_id: userId, access_token: accessToken } = await this.client.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user },
            password,
            device_id: deviceId,
        });
        const fetchFn = (url, options) => this.#fetch(url, options);
        this.client = createClient({ baseUrl: homeserver, userId, accessToken, deviceId, fetchFn });
        this.client.on(CallEventHandlerEvent.Incoming, (call) => this.keep(call));
        if (joins) this.client.on(RoomEvent.MyMembership, (room, membership) => this.#accept(room, membership));
        // Processing would change the tones that the tests measure.
        await this.client
            .getMediaHandler()
            .setAudioSettings({ autoGainControl: false, echoCancellation: false, noiseSuppression: false });
        await this.client.startClient({ initialSyncLimit: 20, disablePresence: true });
        await this.#synced();
        return userId;
    }

    #accept(room, membership) {
        if (membership === "invite") void this.client.joinRoom(room.roomId);
    }

    /** Learn of nothing new until `undeafen`, as behind a slow network: so that calls can cross. */
    deafen() {
        this.#hearing = new Promise((resolve) => (this.#hearAgain = resolve));
    }

    undeafen() {
        this.#hearAgain?.();
        this.#hearing = Promise.resolve();
    }

    async #fetch(url, options) {
        const response = await fetch(url, options);
        if (new URL(url).pathname.endsWith("/sync")) await this.#hearing;
        return response;
    }

    #synced() {
        return new Promise((resolve) => {
            const look = (state) => state === "PREPARED" && (this.client.off(ClientEvent.Sync, look), resolve());
            this.client.on(ClientEvent.Sync, look);
        });
    }

    /** Who answers for a telephone number, asked as a dial pad asks. */
    async lookUp(number) {
        const found = await this.client.getThirdpartyUser("m.protocol.pstn", { "m.id.phone": number });
        return found.map((entry) => entry.userid);
    }

    async createRoom(invited) {
        const roomId = await createDirectRoom(this.client, invited);
        await this.#roomKnown(roomId);
        return roomId;
    }

    joinRoom(roomId) {
        return this.client.joinRoom(roomId).then(() => this.#roomKnown(roomId));
    }

    #roomKnown(roomId) {
        if (this.client.getRoom(roomId)) return Promise.resolve();
        return new Promise((resolve) => {
            const look = (room) => room.roomId === roomId && (this.client.off(ClientEvent.Room, look), resolve());
            this.client.on(ClientEvent.Room, look);
        });
    }

    members(roomId, membership = "join") {
        return (this.client.getRoom(roomId)?.getMembersWithMembership(membership) ?? []).map(({ userId }) => userId);
    }

    invitations() {
        return this.client.getRooms().filter((room) => room.getMyMembership() === "invite").map((room) => room.roomId);
    }

    /** What was written in a room, by others than this user. */
    notices(roomId) {
        const events = this.client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
        return events
            .filter((event) => event.getType() === "m.room.message" && event.getSender() !== this.client.getUserId())
            .map((event) => event.getContent().body);
    }

    /** Write in a room. */
    async say({ roomId, text }) {
        await this.client.sendTextMessage(roomId, text);
    }

    /** The rooms in which the user and somebody else are. */
    roomsWith(userId) {
        const rooms = this.client.getRooms().filter((room) => room.getMyMembership() === "join");
        return rooms.map(({ roomId }) => roomId).filter((roomId) => this.members(roomId).includes(userId));
    }

    directRooms() {
        return directRooms(this.client);
    }

    /** The `m.call.*` events of a room, oldest first. */
    callEvents(roomId) {
        const events = this.client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
        return events
            .filter((event) => event.getType().startsWith("m.call."))
            .map((event) => ({ type: event.getType(), sender: event.getSender(), content: event.getContent() }));
    }

    keep(call) {
        const known = this.calls.find((seen) => seen.call === call);
        if (known) return known;
        const seen = new SeenCall(call);
        this.calls.push(seen);
        return seen;
    }

    /**
     * Call whoever is in the room. `callId` replaces the generated one, `codecs` limits what is offered, `lifetimeMs`
     * is what the invite claims.
     */
    async place({ roomId, invitee, callId, codecs, lifetimeMs }) {
        restrictCodecs(codecs);
        const call = createNewMatrixCall(this.client, roomId, invitee ? { invitee } : undefined);
        if (callId) call.callId = callId;
        if (lifetimeMs) this.#claimLifetime(call, lifetimeMs);
        this.keep(call);
        await call.placeVoiceCall();
        return call.callId;
    }

    #claimLifetime(call, lifetimeMs) {
        const send = this.client.sendEvent;
        this.client.sendEvent = (...args) => {
            const content = args.find((argument) => argument?.call_id === call.callId);
            if (content?.lifetime) content.lifetime = lifetimeMs;
            return send.apply(this.client, args);
        };
    }

    #current() {
        const seen = this.calls.findLast(({ state }) => state !== "ended");
        if (!seen) throw new Error("there is no call");
        return seen;
    }

    async answer({ codecs } = {}) {
        restrictCodecs(codecs);
        await this.#current().call.answer(true, false);
    }

    reject() {
        this.#current().call.reject();
    }

    hangUp(reason = CallErrorCode.UserHangup) {
        this.#current().call.hangup(reason, false);
    }

    /** What a person does in the call; see `controls`. */
    control(name, argument) {
        return controls[name](this.#current().call, argument);
    }

    /** What the page shows of the call; see `look`. */
    look() {
        return look(this.#current().call);
    }

    goThroughRelays() {
        goThroughRelays();
    }

    hearsNothing() {
        return this.#current().listener.isQuiet;
    }

    timeGaps() {
        this.#current().listener.timeGaps();
    }

    longestGap() {
        return this.#current().listener.longestGap;
    }

    /** Leave the other ends of two calls to each other: the first is the one that wanted somebody. */
    async connectBoth() {
        const [first, second] = this.calls.filter(({ state }) => state === "connected");
        await first.call.transferToCall(second.call);
    }

    /** The sound of the current call once it is steady; see `Listener.steady`. */
    async listen(timeoutMs) {
        const seen = this.#current();
        if (!seen.listener) throw new Error(`nothing to hear in a call that is ${seen.state}`);
        return seen.listener.steady(timeoutMs);
    }

    /** Codecs in use, by the browser's own statistics. */
    async codecs() {
        const reports = [...(await this.#current().call.peerConn.getStats()).values()];
        const streams = reports.filter(({ type }) => type === "inbound-rtp" || type === "outbound-rtp");
        const names = new Map(reports.filter(({ type }) => type === "codec").map((codec) => [codec.id, codec.mimeType]));
        return Object.fromEntries(streams.map(({ type, codecId }) => [type, names.get(codecId) ?? null]));
    }

    /** Everything a test waits for or reports when it fails. */
    state() {
        return this.calls.map((seen) => seen.summary());
    }
}

const device = new Device();
window.device = device;
