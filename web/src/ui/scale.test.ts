import { describe, expect, it } from "vitest";

import { scale, ticks } from "./scale.ts";

describe("chart scales", () => {
  it("choose few, round, sufficient ticks for any largest value", () => {
    for (const largest of [0.003, 0.5, 1, 3, 7, 10, 12, 99, 101, 12345, 9.99e8]) {
      const marks = ticks(largest);
      expect(marks[0]).toBe(0);
      expect(marks.at(-1)).toBeGreaterThanOrEqual(largest);
      expect(marks.length).toBeGreaterThanOrEqual(3);
      expect(marks.length).toBeLessThanOrEqual(6);
    }
    expect(ticks(10)).toEqual([0, 2.5, 5, 7.5, 10]);
    for (const nothing of [0, -1, Number.NaN, Infinity]) expect(ticks(nothing)).toEqual([0, 1]);
  });
  it("map values to pixels, also upside down and without a span", () => {
    expect(scale(0, 10, 100, 0)(5)).toBe(50);
    expect(scale(3, 3, 0, 10)(3)).toBe(0);
  });
});
