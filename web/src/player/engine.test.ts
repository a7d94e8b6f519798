// @vitest-environment jsdom
import { describe, expect, it } from "vitest";

import { Engine, type MediaElement } from "./engine.ts";
import type { Source } from "./model.ts";

/** A file in a browser of our own: it plays by the test's clock, at a speed that is slightly its own, and seeks slowly. */
class FakeElement implements MediaElement {
  playbackRate = 1;
  paused = true;
  seeking = false;
  readyState = 4;
  error: { message?: string } | null = null;
  seeks = 0;
  #time = 0;
  #busyUntil = 0;
  #runsAt = 0;
  /** How long it takes to begin when it is told to. */
  startMs = 0;
  readonly world: World;
  readonly duration: number;
  readonly skew: number;
  /** Browsers put whoever seeks before the first frame onto it. */
  readonly first: number;

  constructor(world: World, duration: number, skew = 0, first = 0) {
    this.first = first;
    this.#time = first;
    this.world = world;
    this.duration = duration;
    this.skew = skew;
    world.elements.push(this);
  }
  get ended(): boolean {
    return this.#time >= this.duration;
  }
  get currentTime(): number {
    return this.#time;
  }
  set currentTime(value: number) {
    this.#time = Math.max(this.first, value);
    this.seeking = true;
    this.seeks += 1;
    this.#busyUntil = this.world.now + this.world.seekMs;
  }
  play(): Promise<void> {
    if (this.paused) this.#runsAt = this.world.now + this.startMs;
    this.paused = false;
    return Promise.resolve();
  }
  pause(): void {
    this.paused = true;
  }
  advance(ms: number): void {
    if (this.seeking && this.world.now >= this.#busyUntil) this.seeking = false;
    if (!this.paused && this.world.now > this.#runsAt && !this.seeking && this.readyState >= 3) this.#time = Math.min(this.duration, this.#time + (ms / 1000) * this.playbackRate * (1 + this.skew));
  }
}

class World {
  now = 10_000;
  seekMs = 120;
  elements: FakeElement[] = [];
  run(engine: Engine, ms: number, each?: () => void): void {
    for (let done = 0; done < ms; done += 10) {
      this.now += 10;
      for (const element of this.elements) element.advance(10);
      if (done % 100 === 0) engine.tick();
      each?.();
    }
  }
}

const source = (id: string, present = [{ from_ms: 0, to_ms: 60_000 }], offset_ms = 0): Source => ({
  id, kind: "participant", identity: id, name: id, url: "", media_type: "video/webm", offset_ms, first_ms: 0, duration_ms: 60_000, has_audio: true, has_video: true, present,
});

function setUp(count: number, pauses: { from_ms: number; to_ms: number }[] = []) {
  const world = new World();
  const engine = new Engine({ duration: 60_000, pauses, now: () => world.now });
  const elements = Array.from({ length: count }, (_, index) => {
    const element = new FakeElement(world, 60, (index - 1) * 0.0008);
    engine.attach(source(`p${index}`), element);
    return element;
  });
  return { world, engine, elements };
}

const apart = (elements: FakeElement[]) => (Math.max(...elements.map((element) => element.currentTime)) - Math.min(...elements.map((element) => element.currentTime))) * 1000;

describe("the player's engine", () => {
  it("keeps six files within 50 ms of each other while they play, at any speed", () => {
    for (const rate of [0.5, 1, 2]) {
      const { world, engine, elements } = setUp(6);
      engine.setRate(rate);
      engine.play();
      world.run(engine, 2_000);
      let worst = 0;
      world.run(engine, 15_000, () => (worst = Math.max(worst, apart(elements))));
      expect(worst, `at ${rate}`).toBeLessThanOrEqual(50);
      expect(engine.snapshot().position).toBeGreaterThan(16_000 * rate * 0.9);
    }
  });

  it("has whoever comes in begin a moment before, since that takes browsers a moment", () => {
    for (const rate of [1, 2]) {
      for (const comes of [5_000, 5_030, 5_070]) {
        const { world, engine, elements } = setUp(2);
        const late = new FakeElement(world, 60);
        late.startMs = 100;
        engine.attach(source("late", [{ from_ms: comes, to_ms: 60_000 }], comes), late);
        engine.setRate(rate);
        engine.play();
        let worst = 0;
        world.run(engine, 6_000 / rate, () => {
          const at = (elements[0] as FakeElement).currentTime * 1000;
          if (at > comes + 150) worst = Math.max(worst, Math.abs(late.currentTime * 1000 + comes - at));
        });
        expect(worst, `at ${comes}, ${rate}×`).toBeGreaterThan(0);
        expect(worst, `at ${comes}, ${rate}×`).toBeLessThanOrEqual(100 * rate);
        expect(late.seeks, "no jump").toBeLessThanOrEqual(1);
      }
    }
  });

  it("waits for the slowest after a seek, and goes on in step", () => {
    const { world, engine, elements } = setUp(3);
    engine.play();
    world.run(engine, 1_000);
    engine.seek(30_000);
    world.run(engine, 20);
    expect(engine.snapshot().waiting).toBe(true);
    expect(engine.snapshot().position).toBe(30_000);
    world.run(engine, 2_000);
    expect(engine.snapshot().waiting).toBe(false);
    expect(apart(elements)).toBeLessThanOrEqual(50);
    expect(engine.snapshot().position).toBeGreaterThan(31_000);
  });

  it("holds everybody while one has no data, and does not wait for ever", () => {
    const { world, engine, elements } = setUp(2);
    engine.play();
    world.run(engine, 2_000);
    (elements[1] as FakeElement).readyState = 2;
    world.run(engine, 3_000);
    const held = engine.snapshot();
    expect(held.waiting).toBe(true);
    expect(held.position).toBeLessThan(2_300);
    expect(elements[0]?.paused).toBe(true);
    world.run(engine, 8_000);
    expect(engine.snapshot().waiting).toBe(false);
    expect(engine.snapshot().position).toBeGreaterThan(held.position + 1_000);
  });

  it("brings somebody in where they joined, and not before", () => {
    const world = new World();
    const engine = new Engine({ duration: 60_000, pauses: [], now: () => world.now });
    const early = new FakeElement(world, 60);
    const late = new FakeElement(world, 60);
    engine.attach(source("early"), early);
    engine.attach(source("late", [{ from_ms: 5_000, to_ms: 8_000 }, { from_ms: 12_000, to_ms: 60_000 }]), late);
    engine.play();
    world.run(engine, 3_000);
    expect(late.paused).toBe(true);
    expect(late.currentTime).toBe(5);
    world.run(engine, 4_000);
    expect(late.paused).toBe(false);
    expect(Math.abs(late.currentTime - early.currentTime) * 1000).toBeLessThanOrEqual(50);
    world.run(engine, 3_000);
    expect(late.paused).toBe(true);
    expect(late.currentTime).toBe(12);
  });

  it("does not wait for what a file does not have: somebody who joined and sent nothing for a while", () => {
    const { world, engine, elements } = setUp(1);
    const late = new FakeElement(world, 60, 0, 6);
    engine.attach(source("late", [{ from_ms: 2_000, to_ms: 60_000 }]), late);
    engine.play();
    world.run(engine, 5_500);
    expect(engine.snapshot().position).toBeGreaterThan(4_500);
    expect(late.paused).toBe(true);
    world.run(engine, 3_000);
    expect(late.paused).toBe(false);
    expect(apart([elements[0] as FakeElement, late])).toBeLessThanOrEqual(50);
    engine.seek(3_000);
    world.run(engine, 6_000);
    expect(engine.snapshot().position).toBeGreaterThan(8_000);
    expect(apart([elements[0] as FakeElement, late])).toBeLessThanOrEqual(50);
  });

  it("goes over pauses, and stops at the end", () => {
    const { world, engine } = setUp(1, [{ from_ms: 2_000, to_ms: 50_000 }]);
    engine.play();
    world.run(engine, 4_000);
    expect(engine.snapshot().position).toBeGreaterThan(50_500);
    engine.seek(10_000);
    expect(engine.snapshot().position).toBe(50_000);
    world.run(engine, 12_000);
    expect(engine.snapshot()).toMatchObject({ playing: false, position: 60_000 });
    engine.play();
    expect(engine.position()).toBeLessThan(100);
  });

  it("seeks a standing file once, not at every look", () => {
    const { world, engine, elements } = setUp(1);
    engine.seek(20_000);
    world.run(engine, 1_000);
    expect(elements[0]?.seeks).toBe(1);
    expect(elements[0]?.currentTime).toBe(20);
  });

  it("names files that cannot be played, and plays the others", () => {
    const { world, engine, elements } = setUp(2);
    (elements[0] as FakeElement).error = { message: "no decoder" };
    engine.play();
    world.run(engine, 2_000);
    expect(engine.snapshot().broken).toEqual(["p0"]);
    expect(elements[1]?.currentTime).toBeGreaterThan(1.5);
  });

  it("tells listeners, and starts where a link points", () => {
    const world = new World();
    const engine = new Engine({ duration: 60_000, pauses: [], now: () => world.now, startAt: 42_000 });
    let told = 0;
    const stop = engine.subscribe(() => (told += 1));
    expect(engine.snapshot().position).toBe(42_000);
    engine.play();
    world.run(engine, 500);
    expect(told).toBeGreaterThan(2);
    stop();
    const before = told;
    world.run(engine, 500);
    expect(told).toBe(before);
  });
});
