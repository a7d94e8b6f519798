"""The calls of a meeting by a client that was made from the OpenAPI document alone, checked against LiveKit itself.

    python client.py FOLDER SETTINGS

FOLDER holds the package `greffier_client`, as openapi-python-client made it. SETTINGS is JSON: where Greffier and LiveKit
are, an administrator's access token, LiveKit's own key. Prints a line for each thing that held; ends with 1 at the first
that does not.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from typing import Any
from urllib.parse import unquote

sys.path.insert(0, sys.argv[1])

import httpx
from livekit import rtc

from greffier_client import AuthenticatedClient, Client
from greffier_client.api.invitations import create_invitation
from greffier_client.api.rooms import (
    create_room,
    end_room,
    get_room,
    join_room,
    leave_room,
    list_rooms,
    livekit_token,
)
from greffier_client.models import (
    AdmissionView,
    CallType,
    CreateInvitation,
    CreateRoom,
    InvitationView,
    JoinRoom,
    PageRoomView,
    Problem,
    RoomView,
    TokenRequest,
    TokenView,
)

SETTINGS: dict[str, str] = json.loads(sys.argv[2])
# A connection takes 0.1 s on an idle machine.
WITHIN_S = 15


def holds(what: str, condition: bool, seen: Any = None) -> None:
    """Says that something holds, or ends with what was seen instead."""
    if not condition:
        sys.exit(f"does not hold: {what}: {seen!r}")
    print(what, flush=True)


async def eventually(what: str, look: Any) -> None:
    """Waits until `look` gives something true."""
    until = time.monotonic() + WITHIN_S
    while not await look():
        if time.monotonic() > until:
            sys.exit(f"did not come within {WITHIN_S} s: {what}")
        await asyncio.sleep(0.1)
    print(what, flush=True)


def signed(claims: dict[str, Any]) -> str:
    """A token as LiveKit has them, made here: what is compared with Greffier must not come from it."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + "." + part(json.dumps(claims).encode())
    return head + "." + part(hmac.new(SETTINGS["livekit_secret"].encode(), head.encode(), hashlib.sha256).digest())


async def livekit(call: str, room: str, body: dict[str, Any]) -> dict[str, Any]:
    """Asks LiveKit's own room service."""
    now = int(time.time())
    video = {"roomList": True, "roomAdmin": True, "room": room}
    token = signed({"iss": SETTINGS["livekit_key"], "sub": "judge", "nbf": now - 5, "exp": now + 60, "video": video})
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{SETTINGS['livekit_http']}/twirp/livekit.RoomService/{call}",
            json=body,
            headers={"authorization": f"Bearer {token}"},
        )
    return answer.json() if answer.status_code == 200 else {"status": answer.status_code}


async def identities(room: str) -> set[str]:
    found = await livekit("ListParticipants", room, {"room": room})
    return {one["identity"] for one in found.get("participants", [])}


async def connect(url: str, token: str) -> tuple[rtc.Room, asyncio.Event]:
    """Goes where a token leads."""
    room, gone = rtc.Room(), asyncio.Event()
    room.on("disconnected", lambda *_: gone.set())
    await asyncio.wait_for(room.connect(url, token), WITHIN_S)
    return room, gone


async def main() -> None:
    url = SETTINGS["url"]
    # Whoever stands before this machine is not asked.
    plain = {"trust_env": False}
    admin = AuthenticatedClient(base_url=url, token=SETTINGS["token"], httpx_args=plain)
    nobody = Client(base_url=url, httpx_args=plain)

    wanted = CreateRoom(title="By the document", call_type=CallType.VIDEO)
    made = await create_room.asyncio_detailed(client=admin, body=wanted)
    holds("a room is made", made.status_code == 201 and isinstance(made.parsed, RoomView), made)
    name = made.parsed.name
    holds("its answer says where it is", unquote(made.headers.get("location", "")).endswith(f"/{name}"), made.headers)
    again = await create_room.asyncio_detailed(
        client=admin, body=CreateRoom(title="Again", call_type=CallType.VIDEO, name=name)
    )
    holds("a second of the name is refused", again.status_code == 409 and isinstance(again.parsed, Problem), again)

    listed = await list_rooms.asyncio_detailed(client=admin, q="By the document")
    holds("lists have it", isinstance(listed.parsed, PageRoomView), listed)
    holds("once", [room.name for room in listed.parsed.items].count(name) == 1, listed.parsed)
    got = await get_room.asyncio_detailed(name, client=admin)
    holds("it is idle", isinstance(got.parsed, RoomView) and got.parsed.state.value == "idle", got)
    missing = await get_room.asyncio_detailed("no-such-room", client=admin)
    holds("another is not there", missing.status_code == 404 and isinstance(missing.parsed, Problem), missing)

    given = await livekit_token.asyncio_detailed(client=admin, body=TokenRequest(room=name, identity="ana", name="Ana"))
    holds("a token is given", given.status_code == 200 and isinstance(given.parsed, TokenView), given)
    ana, ana_gone = await connect(given.parsed.url, given.parsed.token)
    holds("it leads into the room", ana.name == name, ana.name)
    holds("as who was asked for", ana.local_participant.identity == "ana", ana.local_participant.identity)

    async def ana_is_there() -> bool:
        return await identities(name) == {"ana"}

    await eventually("LiveKit says so too", ana_is_there)

    async def is_live() -> bool:
        seen = await get_room.asyncio_detailed(name, client=admin)
        there = {one.identity for one in seen.parsed.participants_now}
        return seen.parsed.state.value == "live" and there == {"ana"}

    await eventually("and Greffier", is_live)

    invited = await create_invitation.asyncio_detailed(name, client=admin, body=CreateInvitation(guest=True))
    holds("a guest is invited", invited.status_code == 201 and isinstance(invited.parsed, InvitationView), invited)
    refused = await join_room.asyncio_detailed(name, client=nobody, body=JoinRoom(name="Bob"))
    holds("nobody comes in without", refused.status_code == 401 and isinstance(refused.parsed, Problem), refused)
    come = await join_room.asyncio_detailed(
        name, client=nobody, body=JoinRoom(name="Bob", invitation=invited.parsed.token)
    )
    holds("the guest may come in", come.status_code == 200 and isinstance(come.parsed, AdmissionView), come)
    bob, _ = await connect(come.parsed.url, come.parsed.token)
    holds("as Bob", bob.local_participant.name == "Bob", bob.local_participant.name)
    holds("by the identity that was told", bob.local_participant.identity == come.parsed.identity, come.parsed)

    async def they_meet() -> bool:
        return set(ana.remote_participants) == {come.parsed.identity} and set(bob.remote_participants) == {"ana"}

    await eventually("they see each other", they_meet)

    guest = AuthenticatedClient(base_url=url, token=come.parsed.token, httpx_args=plain)
    left = await leave_room.asyncio_detailed(name, client=guest)
    holds("the guest says that they leave", left.status_code == 204, left)
    elsewhere = await leave_room.asyncio_detailed("no-such-room", client=guest)
    holds("of their room only", elsewhere.status_code == 403, elsewhere)
    await bob.disconnect()
    await eventually("LiveKit has only the other", ana_is_there)

    ended = await end_room.asyncio_detailed(name, client=admin)
    holds("the room is ended", ended.status_code == 204, ended)
    await asyncio.wait_for(ana_gone.wait(), WITHIN_S)
    print("whoever was there is out", flush=True)
    rooms = await livekit("ListRooms", "", {"names": [name]})
    holds("LiveKit has no such room any more", not rooms.get("rooms") and "status" not in rooms, rooms)
    after = await get_room.asyncio_detailed(name, client=admin)
    holds("Greffier remembers it as ended", after.parsed.state.value == "ended", after)
    late = await livekit_token.asyncio_detailed(client=admin, body=TokenRequest(room=name, identity="ana"))
    holds("and lets nobody in", late.status_code == 409 and isinstance(late.parsed, Problem), late)
    print("done", flush=True)


asyncio.run(main())
