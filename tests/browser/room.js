// A page that takes part in a room as any web client does.
import { Room, RoomEvent } from "livekit-client";

let room;

window.join = async ({ url, token, camera, microphone, codec, simulcast }) => {
  room = new Room({ adaptiveStream: false, dynacast: false });
  room.on(RoomEvent.TrackSubscribed, (track, publication, participant) => {
    // Attached, or the browser decodes nothing.
    document.body.append(track.attach());
    window.report("subscribed", { from: participant.identity, source: publication.source, sid: publication.trackSid });
  });
  room.on(RoomEvent.TrackUnsubscribed, (track, publication, participant) => {
    track.detach().forEach((element) => element.remove());
    window.report("unsubscribed", { from: participant.identity, source: publication.source, sid: publication.trackSid });
  });
  room.on(RoomEvent.Disconnected, (reason) => window.report("disconnected", { reason }));
  room.on(RoomEvent.Reconnecting, () => window.report("reconnecting", {}));
  room.on(RoomEvent.Reconnected, () => window.report("reconnected", {}));
  await room.connect(url, token);
  const publish = { simulcast, ...(codec ? { videoCodec: codec } : {}) };
  if (camera) {
    const publication = await room.localParticipant.setCameraEnabled(true, {}, publish);
    window.report("published", { source: "camera", sid: publication.trackSid, mime: publication.mimeType });
  }
  if (microphone) {
    const publication = await room.localParticipant.setMicrophoneEnabled(true);
    window.report("published", { source: "microphone", sid: publication.trackSid, mime: publication.mimeType });
  }
};

window.share = async () => {
  const publication = await room.localParticipant.setScreenShareEnabled(true);
  window.report("published", { source: "screen_share", sid: publication.trackSid, mime: publication.mimeType });
};

/** What the browser's own statistics say of each track it receives. */
window.inbound = async () => {
  const tracks = [];
  for (const participant of room.remoteParticipants.values()) {
    for (const publication of participant.trackPublications.values()) {
      const report = await publication.track?.getRTCStatsReport();
      if (!report) continue;
      const entries = [...report.values()];
      for (const entry of entries.filter((entry) => entry.type === "inbound-rtp")) {
        const codec = entries.find((other) => other.id === entry.codecId)?.mimeType ?? null;
        tracks.push({
          from: participant.identity,
          source: publication.source,
          codec,
          packets: entry.packetsReceived ?? 0,
          lost: entry.packetsLost ?? 0,
          bytes: entry.bytesReceived ?? 0,
          frames_decoded: entry.framesDecoded ?? 0,
          key_frames: entry.keyFramesDecoded ?? 0,
          width: entry.frameWidth ?? 0,
          height: entry.frameHeight ?? 0,
          samples: entry.totalSamplesReceived ?? 0,
          concealed: entry.concealedSamples ?? 0,
          energy: entry.totalAudioEnergy ?? 0,
        });
      }
    }
  }
  return tracks;
};

window.leave = async () => room.disconnect();
