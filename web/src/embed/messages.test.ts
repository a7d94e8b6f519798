import { describe, expect, it, vi } from "vitest";

import { parentOrigin, readCredentials, teller } from "./messages.ts";

const jwt = (claims: object) => `e30.${btoa(JSON.stringify(claims)).replace(/=+$/, "")}.x`;

describe("embedding", () => {
  it("speaks only to origins that are allowed", () => {
    const allowed = ["https://app.example"];
    expect(parentOrigin(allowed, "https://meet.example", ["https://app.example"], "")).toBe("https://app.example");
    expect(parentOrigin(allowed, "https://meet.example", undefined, "https://app.example/page?x=1")).toBe("https://app.example");
    expect(parentOrigin(allowed, "https://meet.example", ["https://evil.example"], "https://app.example/")).toBeUndefined();
    expect(parentOrigin(allowed, "https://meet.example", undefined, "")).toBeUndefined();
    expect(parentOrigin([], "https://meet.example", ["https://meet.example"], "")).toBe("https://meet.example");
  });

  it("sends events to that origin and to no other", () => {
    const target = { postMessage: vi.fn() };
    teller("demo", "https://app.example", target)({ type: "recording", active: true });
    expect(target.postMessage).toHaveBeenCalledWith({ source: "greffier", room: "demo", type: "recording", active: true }, "https://app.example");
    teller("demo", undefined, target)({ type: "left", reason: "left" });
    expect(target.postMessage).toHaveBeenCalledTimes(1);
  });

  it("tells LiveKit's tokens from an application's own", () => {
    expect(readCredentials(`#token=${jwt({ sub: "ana", video: { room: "demo" } })}`)).toMatchObject({ kind: "livekit", identity: "ana", moderator: false, records: false });
    expect(readCredentials(`#token=${jwt({ sub: "ana", video: { room: "demo", roomAdmin: true, roomRecord: true } })}`)).toMatchObject({ moderator: true, records: true });
    expect(readCredentials(`#token=${jwt({ sub: "ana" })}`).kind).toBe("bearer");
    expect(readCredentials("#token=garbage").kind).toBe("bearer");
    expect(readCredentials("#invitation=abc")).toEqual({ kind: "invitation", token: "abc" });
    expect(readCredentials("").kind).toBe("none");
  });
});
