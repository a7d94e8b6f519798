import { useEffect } from "react";
import { ConnectionState, type Room, type TrackPublication } from "livekit-client";

import { client } from "../api/client.ts";
import type { QualitySample } from "../api/contract.ts";
import { paths } from "../api/paths.ts";

const EVERY_MS = 10_000;

/** Counters of one track at one moment; they only grow. */
export type Counters = { at: number; packets: number; lost: number; bytes: number; jitterMs?: number; rttMs?: number; width?: number; height?: number };

type Stat = { type: string; kind?: string; [name: string]: unknown };

/** Sums up what the browser's report (W3C webrtc-stats) says of a track: its layers together, the largest picture. */
export function countersOf(stats: Iterable<Stat>, direction: "send" | "receive", at: number): Counters | undefined {
  const number = (value: unknown): number => (typeof value === "number" ? value : 0);
  let found: Counters | undefined;
  for (const stat of stats) {
    const sent = stat.type === "outbound-rtp" && direction === "send";
    const received = stat.type === "inbound-rtp" && direction === "receive";
    if (sent || received) {
      found ??= { at, packets: 0, lost: 0, bytes: 0 };
      found.packets += number(sent ? stat["packetsSent"] : stat["packetsReceived"]);
      found.bytes += number(sent ? stat["bytesSent"] : stat["bytesReceived"]);
      if (received) {
        found.lost += number(stat["packetsLost"]);
        if (typeof stat["jitter"] === "number") found.jitterMs = stat["jitter"] * 1000;
      }
      const height = number(stat["frameHeight"]);
      if (height > (found.height ?? 0)) {
        found.height = height;
        found.width = number(stat["frameWidth"]);
      }
    }
  }
  if (!found) return undefined;
  for (const stat of stats) {
    if (stat.type === "remote-inbound-rtp" && direction === "send") {
      found.lost += number(stat["packetsLost"]);
      if (typeof stat["jitter"] === "number") found.jitterMs = Math.max(found.jitterMs ?? 0, stat["jitter"] * 1000);
      if (typeof stat["roundTripTime"] === "number") found.rttMs = Math.max(found.rttMs ?? 0, stat["roundTripTime"] * 1000);
    }
  }
  return found;
}

/** What happened between two readings. Counters that went back belong to another stream: nothing is said of those. */
export function sampleBetween(before: Counters, after: Counters): Omit<QualitySample, "direction" | "kind"> | undefined {
  const packets = after.packets - before.packets;
  const bytes = after.bytes - before.bytes;
  const ms = after.at - before.at;
  if (packets < 0 || bytes < 0 || ms <= 0) return undefined;
  return {
    packets,
    // Late packets are counted as lost first and taken back later.
    packets_lost: Math.max(0, after.lost - before.lost),
    bitrate_kbps: Math.round((bytes * 8) / ms),
    ...(after.jitterMs !== undefined && { jitter_ms: Math.round(after.jitterMs) }),
    ...(after.rttMs !== undefined && { rtt_ms: Math.round(after.rttMs) }),
    ...(after.width && after.height && { width: after.width, height: after.height }),
  };
}

/** Tells the server, every ten seconds, how the line is. */
export function useQualityReports(room: Room, name: string): void {
  useEffect(() => {
    const before = new Map<string, Counters>();
    const timer = setInterval(() => {
      if (room.state !== ConnectionState.Connected) return;
      void collect(room, before).then((samples) => {
        if (samples.length > 0) return client.post(paths.inRoom(name, "quality"), { samples });
        return undefined;
      }).catch(() => undefined);
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, [room, name]);
}

async function collect(room: Room, before: Map<string, Counters>): Promise<QualitySample[]> {
  const sources: { publication: TrackPublication; direction: "send" | "receive"; participant?: string }[] = [];
  for (const publication of room.localParticipant.trackPublications.values()) sources.push({ publication, direction: "send" });
  for (const participant of room.remoteParticipants.values()) {
    for (const publication of participant.trackPublications.values()) sources.push({ publication, direction: "receive", participant: participant.identity });
  }
  const samples: QualitySample[] = [];
  for (const { publication, direction, participant } of sources) {
    const report = await publication.track?.getRTCStatsReport();
    const stats: Stat[] = [];
    report?.forEach((stat: Stat) => stats.push(stat));
    const after = countersOf(stats, direction, performance.now());
    const last = before.get(publication.trackSid);
    if (!after) continue;
    before.set(publication.trackSid, after);
    const sample = last && sampleBetween(last, after);
    if (sample) samples.push({ direction, kind: publication.kind === "audio" ? "audio" : "video", ...(participant && { participant }), ...sample });
  }
  return samples;
}
