import { describe, expect, it } from "vitest";

import type { Recording, Timeline } from "../api/contract.ts";
import { cameraOn, momentsOf, searchMoments, shownAt, skipPause, sourcesOf, speakerTurns, startFrom } from "./model.ts";

const media = (kind: "participant" | "screen_share", identity: string, more: object = {}) => ({
  kind, identity, name: identity === "ana" ? "Ana Müller" : "Ben", url: `/${identity}`, media_type: "video/webm", offset_ms: 0, first_ms: 0, duration_ms: 60_000, has_audio: true, has_video: true, ...more,
});

const timeline: Timeline = {
  recording: {} as Recording,
  duration_ms: 60_000,
  participants: [
    { identity: "ana", name: "Ana Müller", joined: [{ from_ms: 0, to_ms: 60_000 }], speaking: [{ from_ms: 1_000, to_ms: 9_000 }, { from_ms: 30_000, to_ms: 40_000 }], camera: [{ from_ms: 0, to_ms: 60_000 }], muted: [] },
    { identity: "ben", name: "Ben", joined: [{ from_ms: 5_000, to_ms: 20_000 }, { from_ms: 25_000, to_ms: 60_000 }], speaking: [{ from_ms: 8_000, to_ms: 15_000 }, { from_ms: 33_000, to_ms: 33_400 }], camera: [{ from_ms: 6_000, to_ms: 10_000 }], muted: [] },
  ],
  media: [media("participant", "ana"), media("participant", "ben"), media("screen_share", "ana", { offset_ms: 0, first_ms: 10_000, duration_ms: 22_000, has_audio: false })],
  chat: [{ at_ms: 12_000, identity: "ben", name: "Ben", text: "Voilà le résumé" }],
  pauses: [{ from_ms: 50_000, to_ms: 52_000, cut_ms: 0 }],
  gaps: [],
  events: [],
  truncated: false,
};
const sources = sourcesOf(timeline);
const turns = speakerTurns(timeline);
const who = (layout: Parameters<typeof shownAt>[2], at: number, chosen?: string) => {
  const { sources: shown, focus } = shownAt(sources, turns, layout, chosen, at);
  return { ids: shown.map((source) => `${source.kind === "screen_share" ? "screen:" : ""}${source.identity}`), focus: shown.find((source) => source.id === focus)?.identity };
};

describe("what is shown", () => {
  it("shows people while they are in the room, and shares while they last", () => {
    expect(who("grid", 1_000).ids).toEqual(["ana"]);
    expect(who("grid", 12_000).ids).toEqual(["screen:ana", "ana", "ben"]);
    expect(who("grid", 22_500).ids).toEqual(["ana"]);
    expect(who("grid", 26_000).ids).toEqual(["ana", "ben"]);
  });

  it("puts the speaker in the middle, not who coughs, and lets people finish", () => {
    expect(who("speaker", 2_000).focus).toBe("ana");
    expect(who("speaker", 8_600).focus).toBe("ana");
    expect(who("speaker", 10_000).focus).toBe("ben");
    expect(who("speaker", 28_000).focus).toBe("ben");
    expect(who("speaker", 33_200).focus).toBe("ana");
  });

  it("shows the share large with faces beside it, and a grid without one", () => {
    expect(who("screen", 12_000)).toEqual({ ids: ["screen:ana", "ana", "ben"], focus: "ana" });
    expect(who("screen", 30_000)).toEqual({ ids: ["ana", "ben"], focus: undefined });
  });

  it("shows the one who was chosen, and nobody in their place", () => {
    expect(who("one", 12_000, "ben").ids).toEqual(["ben"]);
    expect(who("one", 22_000, "ben").ids).toEqual([]);
  });

  it("knows when a camera was off, if it was told", () => {
    const [ana, ben] = sources;
    expect(cameraOn(timeline, ana!, 20_000)).toBe(true);
    expect(cameraOn(timeline, ben!, 7_000)).toBe(true);
    expect(cameraOn(timeline, ben!, 11_000)).toBe(false);
  });

  it("covers the whole recording with turns, one at a time", () => {
    for (const [index, turn] of turns.entries()) {
      expect(turn.to_ms).toBeGreaterThan(turn.from_ms);
      if (index > 0) expect(turn.from_ms).toBe(turns[index - 1]?.to_ms);
    }
    expect(turns.at(-1)?.to_ms).toBe(60_000);
  });
});

describe("moments", () => {
  const moments = momentsOf(timeline);
  it("lists joins, leaves, shares, chat and pauses in order", () => {
    expect(moments.map((moment) => moment.at_ms)).toEqual([...moments.map((moment) => moment.at_ms)].sort((a, b) => a - b));
    expect(moments.map((moment) => moment.kind)).toEqual(["join", "join", "share", "chat", "leave", "share_end", "join", "pause"]);
  });
  it("finds words without regard to accents and capitals", () => {
    expect(searchMoments(moments, "RESUME voila").map((moment) => moment.at_ms)).toEqual([12_000]);
    expect(searchMoments(moments, "muller").length).toBe(3);
    expect(searchMoments(moments, "  ")).toHaveLength(moments.length);
    expect(searchMoments(moments, "xyz")).toHaveLength(0);
  });
});

describe("positions", () => {
  it("begins with the first thing there is to see or hear", () => {
    const [one] = timeline.media;
    const late = (offset_ms: number, first_ms: number) => ({ duration_ms: 60_000, media: [{ ...one!, offset_ms, first_ms }, { ...one!, offset_ms, first_ms: first_ms + 900 }] });
    expect(startFrom(null, late(0, 740))).toBe(740);
    expect(startFrom(null, late(30_000, 0))).toBe(0);
    expect(startFrom("3", late(0, 740))).toBe(3_000);
  });
  it("goes over pauses", () => {
    expect(skipPause(timeline.pauses, 51_000)).toBe(52_000);
    expect(skipPause(timeline.pauses, 52_000)).toBe(52_000);
    expect(skipPause(timeline.pauses, 49_999)).toBe(49_999);
  });
  it("reads a link's moment, whatever is in it", () => {
    const minute = { duration_ms: 60_000, media: [] };
    expect(startFrom("12", minute)).toBe(12_000);
    expect(startFrom("12.5", minute)).toBe(12_500);
    expect(startFrom("9999", minute)).toBe(59_000);
    for (const bad of [null, "", "-4", "abc", "Infinity", "NaN"]) expect(startFrom(bad, minute)).toBe(0);
  });
});
