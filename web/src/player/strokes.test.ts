import { describe, expect, it } from "vitest";

import { strokes } from "./strokes.ts";

describe("strokes", () => {
  it("draws spans where they are", () => {
    expect(strokes([{ from_ms: 0, to_ms: 500 }], 1000)).toBe("M0 0H500V10H0Z");
    expect(strokes([], 1000)).toBe("");
  });
  it("keeps short words visible and joins what touches", () => {
    expect(strokes([{ from_ms: 1000, to_ms: 1001 }], 3_600_000)).toBe("M0.3 0H1.5V10H0.3Z");
    const hour = Array.from({ length: 7200 }, (_, index) => ({ from_ms: index * 500, to_ms: index * 500 + 300 }));
    expect(strokes(hour, 3_600_000)).toBe("M0 0H1000V10H0Z");
  });
  it("stays inside, whatever the order", () => {
    expect(strokes([{ from_ms: 900, to_ms: 5000 }, { from_ms: -10, to_ms: 100 }], 1000)).toBe("M0 0H100V10H0ZM900 0H1000V10H900Z");
  });
});
