import { describe, expect, it } from "vitest";

import { lateness, lossPercent, megabits, readSteps, readTick } from "./tick.ts";

const tick = {
  second: 3, seconds: 60, participants: 6, joins: 6, tracks: 60, received: 990, lost: 10, bytes: 1_250_000, sent: 400, freezes: 0,
  audio_latency: { p50: 4, p95: 9 }, video_latency: { p50: null, p95: null },
  tester: { cpu_percent: 12, rss_mebibytes: 80, socket_drops: 0, send_lag_ms: 2, loop_lag_ms: 7, machine_percent: 40 },
};

describe("a second of a load test", () => {
  it("is read whole or not at all", () => {
    expect(readTick(JSON.stringify(tick))).toEqual(tick);
    for (const bad of ["", "{}", "null", "[]", JSON.stringify({ ...tick, lost: "10" }), JSON.stringify({ ...tick, tester: undefined })]) expect(readTick(bad), bad).toBeUndefined();
  });
  it("says how late the tester was", () => expect(lateness(tick)).toBe(7));
  it("may end a step of a search", () => {
    const steps = [{ rooms: 2, participants: 8, tracks: 24, held: true, sentence: "All thresholds held." }];
    expect(readSteps(JSON.stringify(steps))).toEqual(steps);
    expect(readSteps("{")).toEqual([]);
  });
  it("says loss and bitrate", () => {
    expect(lossPercent(tick)).toBeCloseTo(1);
    expect(lossPercent({ ...tick, received: 0, lost: 0 })).toBe(0);
    expect(megabits(tick)).toBeCloseTo(10);
  });
});
