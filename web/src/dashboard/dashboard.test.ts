import { describe, expect, it } from "vitest";

import { linkTarget } from "./join-link.ts";
import { nextHalfHour } from "../rooms/times.ts";

describe("joining by link", () => {
  const here = "https://meet.example";
  it("takes links of this server, paths and bare names", () => {
    expect(linkTarget("https://meet.example/r/daily", here)).toBe("/r/daily");
    expect(linkTarget(" https://meet.example/i/tok?x=1#y ", here)).toBe("/i/tok");
    expect(linkTarget("/r/daily", here)).toBe("/r/daily");
    expect(linkTarget("Café du lundi", here)).toBe("/r/Caf%C3%A9%20du%20lundi");
  });
  it("leads nowhere else", () => {
    for (const bad of ["", "   ", "https://evil.example/r/daily", "javascript:alert(1)", "data:text/html,x", "//evil.example/r/x", "/admin", "https://meet.example/recordings/1", "a/b", "..\\x", "http://meet.example/r/daily"]) {
      expect(linkTarget(bad, here), bad).toBeUndefined();
    }
  });
});

describe("scheduling", () => {
  it("proposes the next half hour, over midnight too", () => {
    expect(nextHalfHour(new Date(2026, 4, 4, 9, 10))).toBe("2026-05-04T09:30");
    expect(nextHalfHour(new Date(2026, 4, 4, 9, 30))).toBe("2026-05-04T10:00");
    expect(nextHalfHour(new Date(2026, 11, 31, 23, 45))).toBe("2027-01-01T00:00");
  });
});
