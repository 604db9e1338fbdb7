// Rooms as Element makes and lists them.

/** What Element puts into a direct room, so that whoever is invited can read what came before they joined. */
const INITIAL_STATE = [
    { type: "m.room.guest_access", state_key: "", content: { guest_access: "can_join" } },
    { type: "m.room.history_visibility", state_key: "", content: { history_visibility: "invited" } },
];

/** A new direct room; with one other person it is listed among the people of the user, as Element lists it. */
export async function createDirectRoom(client, invited) {
    const { room_id: roomId } = await client.createRoom({
        preset: "trusted_private_chat",
        visibility: "private",
        is_direct: true,
        invite: invited,
        initial_state: INITIAL_STATE,
    });
    if (invited.length === 1) await listAsDirect(client, roomId, invited[0]);
    return roomId;
}

async function listAsDirect(client, roomId, userId) {
    const direct = directRooms(client);
    await client.setAccountData("m.direct", { ...direct, [userId]: [...(direct[userId] ?? []), roomId] });
}

/** The user's direct rooms, by the other person. */
export function directRooms(client) {
    return client.getAccountData("m.direct")?.getContent() ?? {};
}
