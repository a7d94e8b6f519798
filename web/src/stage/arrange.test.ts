import { describe, expect, it } from "vitest";

import { arrange, grid, spotlight, type Rect, type Size } from "./arrange.ts";

const AREAS: Size[] = [{ width: 1280, height: 720 }, { width: 390, height: 640 }, { width: 800, height: 800 }, { width: 2560, height: 600 }];

const overlap = (a: Rect, b: Rect) => a.x < b.x + b.width - 0.01 && b.x < a.x + a.width - 0.01 && a.y < b.y + b.height - 0.01 && b.y < a.y + a.height - 0.01;

function expectSound(rects: Rect[], area: Size): void {
  for (const [index, rect] of rects.entries()) {
    expect(rect.width).toBeGreaterThan(0);
    expect(rect.height).toBeGreaterThan(0);
    expect(rect.x).toBeGreaterThanOrEqual(-0.01);
    expect(rect.y).toBeGreaterThanOrEqual(-0.01);
    expect(rect.x + rect.width).toBeLessThanOrEqual(area.width + 0.01);
    expect(rect.y + rect.height).toBeLessThanOrEqual(area.height + 0.01);
    for (const other of rects.slice(index + 1)) expect(overlap(rect, other)).toBe(false);
  }
}

describe("arrange", () => {
  it("keeps every tile inside and apart, whatever the screen", () => {
    for (const area of AREAS) {
      for (let count = 1; count <= 30; count += 1) {
        const rects = grid(count, area);
        expect(rects).toHaveLength(count);
        expectSound(rects, area);
        const { main, strip } = spotlight(count, area);
        expectSound([main, ...strip], area);
        expect(strip.length).toBeGreaterThan(0);
      }
    }
  });

  it("uses the space: four people on a wide screen are two by two", () => {
    const rects = grid(4, { width: 1280, height: 720 });
    expect(new Set(rects.map((rect) => Math.round(rect.x))).size).toBe(2);
    const used = rects.reduce((sum, rect) => sum + rect.width * rect.height, 0);
    expect(used / (1280 * 720)).toBeGreaterThan(0.95);
  });

  it("stacks two people on a phone and sets them side by side on a desktop", () => {
    const [first, second] = grid(2, { width: 390, height: 700 }) as [Rect, Rect];
    expect(second.y).toBeGreaterThan(first.y);
    const [left, right] = grid(2, { width: 1280, height: 600 }) as [Rect, Rect];
    expect(right.x).toBeGreaterThan(left.x);
  });

  it("makes the focus the largest, and falls back to a grid without one", () => {
    const places = arrange(["a", "b", "c"], "b", { width: 1280, height: 720 });
    const size = (id: string) => (places.get(id)?.width ?? 0) * (places.get(id)?.height ?? 0);
    expect(size("b")).toBeGreaterThan(size("a") * 5);
    expect(arrange(["a", "b"], "gone", { width: 1280, height: 720 }).size).toBe(2);
    expect(arrange([], undefined, { width: 1280, height: 720 }).size).toBe(0);
  });
});
