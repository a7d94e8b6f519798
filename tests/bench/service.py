"""The two calls as a small FastAPI service over SQLite answers them: the same rooms, the same answers.

BENCH_DATABASE names the SQLite file, BENCH_KEY the key that may ask, BENCH_LIVEKIT_KEY and BENCH_LIVEKIT_SECRET LiveKit's.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
import threading
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

app = FastAPI()
KEY_HASH = hashlib.sha256(os.environ["BENCH_KEY"].encode()).digest()
LIVEKIT_KEY = os.environ["BENCH_LIVEKIT_KEY"]
LIVEKIT_SECRET = os.environ["BENCH_LIVEKIT_SECRET"]
LIVEKIT_URL = os.environ["BENCH_LIVEKIT_URL"]
_local = threading.local()


def database() -> sqlite3.Connection:
    """One connection for each thread, as sqlite3 wants it."""
    if not hasattr(_local, "connection"):
        _local.connection = sqlite3.connect(os.environ["BENCH_DATABASE"])
        _local.connection.row_factory = sqlite3.Row
    return _local.connection


def caller(authorization: Annotated[str, Header()] = "") -> str:
    shown = hashlib.sha256(authorization.removeprefix("Bearer ").encode()).digest()
    if not hmac.compare_digest(shown, KEY_HASH):
        raise HTTPException(401)
    return "bench"


class TokenRequest(BaseModel):
    room: str = Field(min_length=1, max_length=1024)
    identity: str = Field(max_length=1024)
    name: str | None = Field(default=None, max_length=200)
    ttl_seconds: int = Field(default=21_600, ge=60, le=86_400)


@app.post("/api/livekit/token")
def token(asked: TokenRequest, _: Annotated[str, Depends(caller)]) -> Any:
    room = database().execute("SELECT * FROM rooms WHERE name = ?", (asked.room,)).fetchone()
    if room is not None and room["ended"]:
        raise HTTPException(409)
    now = int(time.time())
    grants = {"canPublish": True, "canSubscribe": True, "canPublishData": True}
    claims = {
        "iss": LIVEKIT_KEY,
        "sub": asked.identity,
        "name": asked.name or asked.identity,
        "nbf": now,
        "exp": now + asked.ttl_seconds,
        "video": {"roomJoin": True, "room": asked.room, **grants},
    }
    return JSONResponse(
        {
            "token": jwt.encode(claims, LIVEKIT_SECRET, algorithm="HS256"),
            "url": LIVEKIT_URL,
            "identity": asked.identity,
            "room": asked.room,
            "expires_at": datetime.fromtimestamp(now + asked.ttl_seconds, UTC).isoformat(),
            "grants": {"can_publish": True, "can_subscribe": True, "can_publish_data": True},
        }
    )


@app.get("/api/livekit/rooms")
def rooms(
    _: Annotated[str, Depends(caller)],
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str = "~",
) -> Any:
    query = "SELECT id, view FROM rooms WHERE id < ? ORDER BY id DESC LIMIT ?"
    found = database().execute(query, (cursor, limit + 1)).fetchall()
    items = [json.loads(room["view"]) for room in found[:limit]]
    return JSONResponse({"items": items, "next_cursor": found[limit - 1]["id"] if len(found) > limit else None})
