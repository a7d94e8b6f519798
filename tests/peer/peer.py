"""One participant of a meeting, driven by lines of JSON.

In:   {"do": "script", "start": WALL, "steps": [STEP…]}   each STEP has "at" (seconds after start) and is done in order
      {"do": …}                                           a single step, done at once
Out:  {"event": …, "wall": WALL, …}                       facts, as they happen
The end of its input ends it: it leaves the room first. Walls are seconds since the Unix epoch.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from livekit import rtc

from listen import Listener
from media import PicturePump, Pump, SoundPump
from pattern import Pattern

# Connecting takes 0.1 s on an idle machine; a step that takes this long is stuck.
STEP_LIMIT_S = 20
# The first key frame leaves within a second; by then the encoder has said what it is.
ENCODER_LIMIT_S = 10

SOURCES = {
    "camera": rtc.TrackSource.SOURCE_CAMERA,
    "microphone": rtc.TrackSource.SOURCE_MICROPHONE,
    "screen_share": rtc.TrackSource.SOURCE_SCREENSHARE,
    "screen_share_audio": rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO,
}
SOURCE_NAMES = {value: name for name, value in SOURCES.items()}
CHAT_TOPIC = "lk.chat"

_print_lock = threading.Lock()


def report(event: str, **facts: Any) -> None:
    """Tells a fact. From any thread."""
    line = json.dumps({"event": event, "wall": time.time(), **facts})
    with _print_lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Published:
    """A track that this peer publishes, with the pump that feeds it."""

    def __init__(self, track: rtc.LocalTrack, sid: str, pump: Pump, codec: str | None) -> None:
        self.track, self.sid, self.pump, self.codec = track, sid, pump, codec


class Peer:
    """The participant: its room, its tracks, and one method for each kind of step."""

    def __init__(self, pattern: Pattern, folder: Path) -> None:
        self.pattern = pattern
        self.listener = Listener(folder, report)
        self.room: rtc.Room | None = None
        self.published: dict[str, Published] = {}
        self.background: set[asyncio.Task[None]] = set()

    async def do(self, step: dict[str, Any]) -> None:
        """Does one step, and tells of it or of its failure."""
        name = step["do"]
        fields = {key: value for key, value in step.items() if key not in ("do", "at")}
        try:
            async with asyncio.timeout(STEP_LIMIT_S):
                await getattr(self, f"do_{name}")(**fields)
        except Exception as error:
            report("failed", step=name, error=repr(error))
            raise

    async def do_script(self, start: float, steps: list[dict[str, Any]]) -> None:
        """Does each step at its time; in the background, so that single steps can come between."""

        async def run() -> None:
            for step in steps:
                await asyncio.sleep(max(0.0, start + step["at"] - time.time()))
                await self.do(step)
            report("done")

        self._spawn(run())

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    @property
    def local(self) -> rtc.LocalParticipant:
        if self.room is None:
            raise RuntimeError("not in a room")
        return self.room.local_participant

    async def do_join(self, url: str, token: str, listen: bool, subscribe: bool) -> None:
        room = rtc.Room()
        self._observe(room, listen)
        await room.connect(url, token, rtc.RoomOptions(auto_subscribe=subscribe, connect_timeout=STEP_LIMIT_S))
        self.room = room
        report("joined", room=room.name, sid=room.local_participant.sid, identity=room.local_participant.identity)

    async def do_leave(self) -> None:
        for source in list(self.published):
            await self._end(source)
        if self.room is not None:
            await self._tell_received(self.room)
            await self.room.disconnect()
            self.room = None
        report("left")

    async def _tell_received(self, room: rtc.Room) -> None:
        """Tells the figures of what is received, before they are gone with the room."""
        # Copies: others come and go meanwhile.
        for participant in list(room.remote_participants.values()):
            for publication in list(participant.track_publications.values()):
                if publication.track is None:
                    continue
                facts = {"from": participant.identity, "source": SOURCE_NAMES.get(publication.source, "unknown")}
                try:
                    facts |= await asyncio.wait_for(inbound(publication.track), 2)
                except Exception as error:  # the figures are for whoever looks into a failure; none is no failure
                    facts["error"] = repr(error)
                report("received", **facts)

    async def do_publish(self, source: str, options: dict[str, Any]) -> None:
        if source in self.published:
            raise RuntimeError(f"{source} is published already")
        publish = rtc.TrackPublishOptions(source=SOURCES[source])
        pump: Pump
        if "codec" in options:
            pump = PicturePump(
                source, self.pattern, options["width"], options["height"], options["fps"], report
            )
            publish.video_codec = rtc.VideoCodec.Value(options["codec"].upper())
            publish.simulcast = options["simulcast"]
            publish.video_encoding.max_bitrate = options["max_bitrate"]
            publish.video_encoding.max_framerate = options["fps"]
            if options.get("scalability_mode"):
                publish.scalability_mode = options["scalability_mode"]
        else:
            pump = SoundPump(source, self.pattern, report)
            publish.dtx = options["dtx"]
            publish.red = options["red"]
        pump.prepare()
        track: rtc.LocalTrack
        if isinstance(pump, PicturePump):
            track = rtc.LocalVideoTrack.create_video_track(source, pump.rtc_source)
        else:
            track = rtc.LocalAudioTrack.create_audio_track(source, pump.rtc_source)
        publication = await self.local.publish_track(track, publish)
        self.published[source] = Published(track, publication.sid, pump, options.get("codec"))
        report("published", source=source, sid=publication.sid, mime=publication.mime_type)
        pump.go()
        if "codec" in options:
            self._spawn(self._check_codec(source, track, options["codec"]))

    async def _check_codec(self, source: str, track: rtc.LocalTrack, asked: str) -> None:
        """libwebrtc falls back to another codec without a word if it has no encoder for the one asked for."""
        deadline = time.monotonic() + ENCODER_LIMIT_S
        while time.monotonic() < deadline:
            mime, layers = await outbound(track)
            if mime and any(layer["frames_encoded"] for layer in layers):
                if self._check_mime(mime, asked, layers):
                    report("encoding", source=source, mime=mime, encoder=layers[0]["encoder"])
                return
            if source not in self.published:
                return
            await asyncio.sleep(0.2)
        report("failed", step="publish", error=f"no frame of the {source} was encoded within {ENCODER_LIMIT_S} s")

    def _check_mime(self, mime: str | None, asked: str | None, layers: list[dict[str, Any]]) -> bool:
        """Tells of a failure if another codec is in use than the one asked for."""
        if not mime or not asked or mime.lower() == f"video/{asked}".lower():
            return True
        encoders = ", ".join({layer["encoder"] for layer in layers})
        report("failed", step="publish", missing_codec=asked, error=f"it encodes {mime} ({encoders})")
        return False

    async def do_mute(self, source: str) -> None:
        self.published[source].pump.muted = True
        self.published[source].track.mute()
        report("muted", source=source)

    async def do_unmute(self, source: str) -> None:
        self.published[source].track.unmute()
        self.published[source].pump.muted = False
        report("unmuted", source=source)

    async def do_unpublish(self, source: str) -> None:
        sid = self.published[source].sid
        await self._end(source)
        await self.local.unpublish_track(sid)
        report("unpublished", source=source, sid=sid)

    async def _end(self, source: str) -> None:
        """Tells what was sent of a track and stops feeding it."""
        published = self.published.pop(source)
        try:
            mime, layers = await asyncio.wait_for(outbound(published.track), 2)
            report("sent", source=source, sid=published.sid, mime=mime, layers=layers)
            self._check_mime(mime, published.codec, layers)
        except Exception as error:  # the room may be gone: then there are no figures, which is no failure
            report("sent", source=source, sid=published.sid, mime=None, layers=[], error=repr(error))
        await asyncio.to_thread(published.pump.end)

    async def do_chat(self, text: str) -> None:
        await self.local.send_text(text, topic=CHAT_TOPIC)
        report("chatted", text=text)

    async def do_text(self, topic: str, text: str) -> None:
        await self.local.send_text(text, topic=topic)
        report("sent_text", topic=topic, text=text)

    async def do_data(self, topic: str, text: str, reliable: bool) -> None:
        await self.local.publish_data(text, reliable=reliable, topic=topic)
        report("sent_data", topic=topic, text=text)

    async def do_metadata(self, metadata: str) -> None:
        await self.local.set_metadata(metadata)
        report("set_metadata", metadata=metadata)

    async def do_attributes(self, attributes: dict[str, str]) -> None:
        await self.local.set_attributes(attributes)
        report("set_attributes", attributes=attributes)

    async def do_name(self, name: str) -> None:
        await self.local.set_name(name)
        report("set_name", name=name)

    async def do_reconnect(self, full: bool) -> None:
        """Drops the signal connection (the SDK resumes), or asks the server to make us start anew."""
        if self.room is None:
            raise RuntimeError("not in a room")
        kinds = rtc.SimulateScenarioKind
        kind = kinds.SIMULATE_FULL_RECONNECT if full else kinds.SIMULATE_SIGNAL_RECONNECT
        await self.room.simulate_scenario(kind)
        report("dropped", full=full)

    def _observe(self, room: rtc.Room, listen: bool) -> None:
        """Tells what the room tells."""

        def source_of(publication: rtc.TrackPublication) -> str:
            return SOURCE_NAMES.get(publication.source, "unknown")

        @room.on("track_subscribed")
        def _(track: Any, publication: Any, participant: Any) -> None:
            source = source_of(publication)
            report(
                "subscribed", source=source, sid=track.sid, mime=publication.mime_type, **{"from": participant.identity}
            )
            if listen:
                self.listener.listen(track, source, participant.identity)

        @room.on("track_unsubscribed")
        def _(track: Any, publication: Any, participant: Any) -> None:
            report("unsubscribed", source=source_of(publication), sid=track.sid, **{"from": participant.identity})
            self._spawn(self.listener.stop(track.sid))

        @room.on("track_muted")
        def _(participant: Any, publication: Any) -> None:
            report("heard_mute", source=source_of(publication), **{"from": participant.identity})

        @room.on("track_unmuted")
        def _(participant: Any, publication: Any) -> None:
            report("heard_unmute", source=source_of(publication), **{"from": participant.identity})

        @room.on("participant_connected")
        def _(participant: Any) -> None:
            report("saw_join", **{"from": participant.identity})

        @room.on("participant_disconnected")
        def _(participant: Any) -> None:
            report("saw_leave", **{"from": participant.identity})

        @room.on("data_received")
        def _(packet: Any) -> None:
            sender = packet.participant.identity if packet.participant else None
            text = packet.data.decode("utf-8", "replace")
            report("received_data", topic=packet.topic, text=text, **{"from": sender})

        @room.on("local_track_republished")
        def _(publication: Any, previous_sid: str) -> None:
            for published in self.published.values():
                if published.sid == previous_sid:
                    published.sid = publication.sid
            report("republished", sid=publication.sid, previous=previous_sid)

        @room.on("reconnecting")
        def _() -> None:
            report("reconnecting")

        @room.on("reconnected")
        def _() -> None:
            report("reconnected")

        @room.on("disconnected")
        def _(reason: Any) -> None:
            report("disconnected", reason=rtc.DisconnectReason.Name(reason))

        def on_text(topic: str) -> Any:
            def handler(reader: rtc.TextStreamReader, sender: str) -> None:
                async def read() -> None:
                    report("received_text", topic=topic, text=await reader.read_all(), **{"from": sender})

                self._spawn(read())

            return handler

        for topic in (CHAT_TOPIC, "greffier.test"):
            room.register_text_stream_handler(topic, on_text(topic))


async def inbound(track: rtc.RemoteTrack) -> dict[str, Any]:
    """What libwebrtc says of a track it receives: what came, what it had to make up."""
    for entry in (s.inbound_rtp for s in await track.get_stats() if s.HasField("inbound_rtp")):
        return {
            "packets": entry.received.packets_received,
            "lost": entry.received.packets_lost,
            "discarded": entry.inbound.packets_discarded,
            "retransmitted": entry.inbound.retransmitted_packets_received,
            "nacks": entry.inbound.nack_count,
            "plis": entry.inbound.pli_count,
            "frames_decoded": entry.inbound.frames_decoded,
            "frames_dropped": entry.inbound.frames_dropped,
            "freezes": entry.inbound.freeze_count,
            "samples": entry.inbound.total_samples_received,
            "concealed": entry.inbound.concealed_samples,
            "silently_concealed": entry.inbound.silent_concealed_samples,
            "concealments": entry.inbound.concealment_events,
            "stretched": entry.inbound.inserted_samples_for_deceleration,
            "shrunk": entry.inbound.removed_samples_for_acceleration,
        }
    return {}


async def outbound(track: rtc.LocalTrack) -> tuple[str | None, list[dict[str, Any]]]:
    """The codec in use and the figures of each layer, from libwebrtc's statistics."""
    stats = await track.get_stats()
    codecs = {s.codec.rtc.id: s.codec.codec.mime_type for s in stats if s.HasField("codec")}
    layers = []
    mime = None
    for entry in (s.outbound_rtp for s in stats if s.HasField("outbound_rtp")):
        mime = codecs.get(entry.stream.codec_id, mime)
        layers.append(
            {
                "rid": entry.outbound.rid,
                "ssrc": entry.stream.ssrc,
                "packets": entry.sent.packets_sent,
                "bytes": entry.sent.bytes_sent,
                "retransmitted": entry.outbound.retransmitted_packets_sent,
                "frames_encoded": entry.outbound.frames_encoded,
                "frames_sent": entry.outbound.frames_sent,
                "key_frames": entry.outbound.key_frames_encoded,
                "nacks": entry.outbound.nack_count,
                "plis": entry.outbound.pli_count,
                "width": entry.outbound.frame_width,
                "height": entry.outbound.frame_height,
                "encoder": entry.outbound.encoder_implementation,
            }
        )
    return mime, layers


async def main() -> int:
    settings = json.loads(sys.argv[1])
    peer = Peer(Pattern(**settings["pattern"]), Path(settings["folder"]))
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    report("ready", version=rtc.__version__)
    while (line := await lines.get()) is not None:
        try:
            await peer.do(json.loads(line))
        except Exception:  # told by `do`; the harness decides what becomes of the meeting
            continue
    if peer.room is not None:
        await peer.do_leave()
    await peer.listener.close()
    return 0


if __name__ == "__main__":
    status = asyncio.run(main())
    sys.stdout.flush()
    # At once: threads of the native library outlive the interpreter's tear-down, and now and then abort in it.
    os._exit(status)
