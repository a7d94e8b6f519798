import { describe, expect, it } from "vitest";

import { correct, HASTY_BEND, IN_STEP_MS, JUMP_MS, MOST_BEND, nextWithin, positionAt, seekTo, spanAt, spread, STOPPED, withRate, within, type Clock } from "./sync.ts";

describe("the leading clock", () => {
  it("runs at its rate, stands when stopped, and never jumps when the rate changes", () => {
    let clock: Clock = withRate(STOPPED, 1, 1_000);
    expect(positionAt(clock, 3_000)).toBe(2_000);
    clock = withRate(clock, 2, 3_000);
    expect(positionAt(clock, 3_000)).toBe(2_000);
    expect(positionAt(clock, 4_000)).toBe(4_000);
    clock = withRate(clock, 0, 4_000);
    expect(positionAt(clock, 99_000)).toBe(4_000);
    clock = seekTo(clock, 500, 99_000);
    expect(positionAt(clock, 99_500)).toBe(500);
  });
});

/** A file that plays at its own, slightly wrong speed, and is read only now and then. */
function follow(options: { offset: number; rate: number; skew: number; seconds: number; noise?: (step: number) => number }): number[] {
  const tick = 100;
  let position = options.offset;
  let speed = options.rate;
  let bent = false;
  const drifts: number[] = [];
  for (let step = 1; step <= (options.seconds * 1000) / tick; step += 1) {
    position += tick * speed * (1 + options.skew);
    const clock = step * tick * options.rate;
    drifts.push(position - clock);
    const action = correct(position - clock + (options.noise?.(step) ?? 0), options.rate, bent);
    bent = action.kind === "bend";
    speed = action.rate;
    if (action.kind === "jump") position = clock;
  }
  return drifts;
}

describe("following", () => {
  it("leaves alone what is in step, bends what is a little off, and jumps when it is far off", () => {
    expect(correct(0, 1, false)).toEqual({ kind: "hold", rate: 1 });
    expect(correct(IN_STEP_MS, 1.5, false)).toEqual({ kind: "hold", rate: 1.5 });
    const ahead = correct(40, 1, false);
    expect(ahead.kind).toBe("bend");
    expect(ahead.rate).toBeLessThan(1);
    expect(ahead.rate).toBeGreaterThanOrEqual(1 - MOST_BEND);
    expect(correct(-40, 1, false).rate).toBeGreaterThan(1);
    expect(correct(200, 1, true).rate).toBeCloseTo(1 - HASTY_BEND);
    expect(correct(JUMP_MS + 1, 1, false).kind).toBe("jump");
    expect(correct(-JUMP_MS - 1, 1, true).kind).toBe("jump");
  });

  it("brings files together within 50 ms, whatever their offset, speed and clock", () => {
    for (const rate of [0.5, 1, 1.5, 2]) {
      for (const offset of [-3_000, -249, -60, 0, 30, 200, 5_000]) {
        for (const skew of [-0.001, 0, 0.001]) {
          const drifts = follow({ offset, rate, skew, seconds: 15 });
          const late = drifts.slice(-50).map(Math.abs);
          expect(Math.max(...late), `rate ${rate} offset ${offset} skew ${skew}`).toBeLessThan(25);
        }
      }
    }
  });

  it("stays in step when readings are rough", () => {
    const drifts = follow({ offset: 100, rate: 1, skew: 0.0005, seconds: 30, noise: (step) => ((step * 7919) % 21) - 10 });
    expect(Math.max(...drifts.slice(-150).map(Math.abs))).toBeLessThan(50);
  });

  it("makes up what people would notice within a second and a half", () => {
    for (const offset of [-240, -100, 100, 240]) {
      const drifts = follow({ offset, rate: 1, skew: 0, seconds: 3 });
      expect(Math.abs(drifts[14] as number), `from ${offset}`).toBeLessThan(50);
    }
  });

  it("does not flutter: once bent, it goes on to the middle", () => {
    expect(correct(10, 1, false).kind).toBe("hold");
    expect(correct(10, 1, true).kind).toBe("bend");
    expect(correct(2, 1, true).kind).toBe("hold");
  });

  it("measures how far files are apart", () => {
    expect(spread([])).toBe(0);
    expect(spread([12])).toBe(0);
    expect(spread([-10, 5, 20])).toBe(30);
  });
});

describe("spans", () => {
  const spans = [{ from_ms: 0, to_ms: 100 }, { from_ms: 200, to_ms: 300 }, { from_ms: 300, to_ms: 400 }];
  it("finds the one that holds a moment; ends are not part of it", () => {
    expect(within(spans, 0)).toBe(true);
    expect(within(spans, 100)).toBe(false);
    expect(spanAt(spans, 300)).toBe(spans[2]);
    expect(spanAt(spans, 400)).toBeUndefined();
    expect(within([], 5)).toBe(false);
  });
  it("finds the next moment that is covered", () => {
    expect(nextWithin(spans, 50)).toBe(50);
    expect(nextWithin(spans, 150)).toBe(200);
    expect(nextWithin(spans, 400)).toBeUndefined();
  });
});
