import type { Interval, Timeline, TimelineMedia } from "../api/contract.ts";
import { spanAt, within } from "./sync.ts";

/** What the player shows of a recording at a moment: pure functions of its timeline. */

export type PlayerLayout = "grid" | "speaker" | "screen" | "one";

/**
 * Bytes of a file that are asked for at once. A browser has six connections to a server and a media element keeps its
 * own until all that was asked for is read, so that six people and a seek would wait for each other; half a MiB is
 * taken off the line at once, whether it is wanted already or not.
 */
const CHUNK = 512 * 1024;

export const inChunks = (url: string): string => `${url}${url.includes("?") ? "&" : "?"}chunk=${CHUNK}`;

/** One file, and when there is something in it. */
export type Source = TimelineMedia & { id: string; present: Interval[] };

export function sourcesOf(timeline: Timeline): Source[] {
  return timeline.media.map((media, index) => {
    const participant = timeline.participants.find((person) => person.identity === media.identity);
    const own = { from_ms: media.offset_ms + (media.first_ms ?? 0), to_ms: media.offset_ms + media.duration_ms };
    // A screen share is there as long as its file is; a person, as long as they were in the room and had something to send.
    const present = media.kind === "screen_share" || !participant || participant.joined.length === 0 ? [own] : clip(participant.joined, own);
    return { ...media, id: `${media.kind}/${media.identity}/${index}`, present };
  });
}

function clip(spans: readonly Interval[], to: Interval): Interval[] {
  return spans
    .map((span) => ({ from_ms: Math.max(span.from_ms, to.from_ms), to_ms: Math.min(span.to_ms, to.to_ms) }))
    .filter((span) => span.to_ms > span.from_ms)
    .sort((a, b) => a.from_ms - b.from_ms);
}

/** A new speaker takes the middle after speaking this long, so that a cough does not. */
const HOLD_MS = 1_000;

/** Who is in the middle at each moment, worked out once: spans of identities, without holes after the first word. */
export function speakerTurns(timeline: Timeline): (Interval & { identity: string })[] {
  const words = timeline.participants
    .flatMap((person) => person.speaking.map((span) => ({ ...span, identity: person.identity })))
    .filter((span) => span.to_ms - span.from_ms >= HOLD_MS)
    .sort((a, b) => a.from_ms - b.from_ms);
  const turns: (Interval & { identity: string })[] = [];
  let busyUntil = 0;
  for (const word of words) {
    const last = turns.at(-1);
    const from_ms = Math.max(word.from_ms + HOLD_MS / 2, busyUntil);
    if (last?.identity === word.identity) {
      busyUntil = Math.max(busyUntil, word.to_ms);
      continue;
    }
    // Somebody who talks over another waits until the other has done, or has not yet gone on for long.
    if (from_ms >= word.to_ms) continue;
    if (last) last.to_ms = from_ms;
    turns.push({ identity: word.identity, from_ms, to_ms: timeline.duration_ms });
    busyUntil = word.to_ms;
  }
  return turns;
}

export type Shown = { sources: Source[]; focus: string | undefined };

/** Which files are on the stage, and which of them is large. */
export function shownAt(sources: readonly Source[], turns: readonly (Interval & { identity: string })[], layout: PlayerLayout, chosen: string | undefined, at: number): Shown {
  const here = sources.filter((source) => within(source.present, at));
  const screens = here.filter((source) => source.kind === "screen_share");
  const people = here.filter((source) => source.kind === "participant");
  const screen = screens.at(-1);
  if (layout === "one") {
    const one = people.find((source) => source.identity === chosen) ?? here.find((source) => source.id === chosen);
    // Somebody who is not there leaves the stage empty, rather than to another.
    return { sources: one ? [one] : [], focus: one?.id };
  }
  if (layout === "grid") return { sources: [...screens, ...people], focus: undefined };
  if (layout === "screen") {
    return screen ? { sources: [screen, ...people], focus: screen.id } : { sources: people, focus: undefined };
  }
  const speaker = spanAt(turns, at)?.identity;
  const main = people.find((source) => source.identity === speaker) ?? people.find((source) => source.has_video) ?? people[0];
  return { sources: [...people, ...screens], focus: main?.id };
}

/** Whether a person's camera was on. Without word from the server, a file with a picture has one all the time. */
export function cameraOn(timeline: Timeline, source: Source, at: number): boolean {
  if (!source.has_video) return false;
  if (source.kind === "screen_share") return true;
  const camera = timeline.participants.find((person) => person.identity === source.identity)?.camera;
  return camera === undefined || within(camera, at);
}

/** Where the playhead goes on from: behind a pause, of which nothing was kept. */
export function skipPause(pauses: readonly Interval[], at: number): number {
  return spanAt(pauses, at)?.to_ms ?? at;
}

export type Moment = { at_ms: number; kind: "join" | "leave" | "share" | "share_end" | "chat" | "pause" | "gap"; who: string; text: string };

/** Everything worth jumping to, in order. */
export function momentsOf(timeline: Timeline): Moment[] {
  const moments: Moment[] = [];
  for (const person of timeline.participants) {
    for (const span of person.joined) {
      moments.push({ at_ms: span.from_ms, kind: "join", who: person.name || person.identity, text: "" });
      if (span.to_ms < timeline.duration_ms) moments.push({ at_ms: span.to_ms, kind: "leave", who: person.name || person.identity, text: "" });
    }
  }
  for (const source of sourcesOf(timeline)) {
    if (source.kind !== "screen_share") continue;
    for (const span of source.present) {
      moments.push({ at_ms: span.from_ms, kind: "share", who: source.name || source.identity, text: "" });
      if (span.to_ms < timeline.duration_ms) moments.push({ at_ms: span.to_ms, kind: "share_end", who: source.name || source.identity, text: "" });
    }
  }
  for (const message of timeline.chat) moments.push({ at_ms: message.at_ms, kind: "chat", who: message.name || message.identity, text: message.text });
  for (const pause of timeline.pauses) moments.push({ at_ms: pause.from_ms, kind: "pause", who: "", text: "" });
  for (const gap of timeline.gaps) moments.push({ at_ms: gap.from_ms, kind: "gap", who: "", text: "" });
  return moments.sort((a, b) => a.at_ms - b.at_ms);
}

const plain = (text: string) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** Moments in which all the words occur, accents and capitals aside. */
export function searchMoments(moments: readonly Moment[], query: string): Moment[] {
  const words = plain(query).split(/\s+/u).filter(Boolean);
  if (words.length === 0) return [...moments];
  return moments.filter((moment) => {
    const text = plain(`${moment.who} ${moment.text}`);
    return words.every((word) => text.includes(word));
  });
}

/** A recording begins when its recorder is there; what others send comes a little later. */
const NOTHING_YET_MS = 5_000;

/** `?t=` of a link, in seconds, as a position within the recording; without it, the first thing there is to see or hear. */
export function startFrom(t: string | null, timeline: Pick<Timeline, "duration_ms" | "media">): number {
  const seconds = Number(t ?? 0);
  if (Number.isFinite(seconds) && seconds > 0) return Math.min(seconds * 1000, Math.max(0, timeline.duration_ms - 1000));
  const first = Math.min(...timeline.media.map((media) => media.offset_ms + (media.first_ms ?? 0)));
  return first <= NOTHING_YET_MS ? first : 0;
}
