import { describe, expect, it } from "vitest";

import type { Call, Recording } from "../api/contract.ts";
import { recordingOf } from "./of-call.ts";

const call = (more: Partial<Call> = {}): Call => ({ id: "c", room: "daily", started_at: "2026-05-04T10:00:00Z", ended_at: "2026-05-04T10:30:00Z", participants: [], ...more });
const recording = (id: string, started_at: string, more: Partial<Recording> = {}) => ({ id, room: "daily", state: "sealed", created_at: started_at, started_at, ...more }) as Recording;

describe("a call's recording", () => {
  const all = [
    recording("later", "2026-05-04T11:00:00Z"),
    recording("second", "2026-05-04T10:20:00Z"),
    recording("first", "2026-05-04T09:59:30Z"),
    recording("broken", "2026-05-04T09:59:20Z", { state: "failed" }),
    recording("other", "2026-05-04T10:05:00Z", { room: "elsewhere" }),
    recording("earlier", "2026-05-04T09:00:00Z"),
  ];
  it("is the one that the server names, or the first that began during it", () => {
    expect(recordingOf(call({ recordings: ["named"] }), all)).toBe("named");
    expect(recordingOf(call(), all)).toBe("first");
    expect(recordingOf(call({ recordings: [] }), [])).toBeUndefined();
    expect(recordingOf(call(), undefined)).toBeUndefined();
  });
  it("may begin at any time while the call goes on", () => {
    expect(recordingOf(call({ started_at: "2026-05-04T10:50:00Z", ended_at: null }), all)).toBe("later");
  });
});
