import { correct, JUMP_MS, nextWithin, positionAt, seekTo, spread, STOPPED, withRate, within, type Clock } from "./sync.ts";
import { skipPause, type Source } from "./model.ts";
import type { Interval } from "../api/contract.ts";

/** As much of an `HTMLMediaElement` as is used here, so that tests can bring their own. */
export type MediaElement = {
  currentTime: number;
  playbackRate: number;
  readonly duration: number;
  readonly paused: boolean;
  readonly ended: boolean;
  readonly seeking: boolean;
  readonly readyState: number;
  readonly error: { message?: string } | null;
  play: () => Promise<void>;
  pause: () => void;
};

export type Snapshot = {
  /** In ms of the recording. */
  position: number;
  playing: boolean;
  /** Wants to play, and waits for data. */
  waiting: boolean;
  rate: number;
  /** How far apart the files were at the last reading, in ms. */
  spread: number;
  /** Files that cannot be played here. */
  broken: readonly string[];
};

type Follower = {
  source: Source;
  element: MediaElement;
  bent: boolean;
  waitingSince: number | undefined;
  parkedAt: number | undefined;
  /** Where it was sent when it was last far off. */
  jumpedTo: number | undefined;
  /** Before this position the file has nothing: whoever seeks there is put here. */
  startsAt: number;
};

/** `HTMLMediaElement.HAVE_FUTURE_DATA`: the next frame is there too. */
const HAVE_FUTURE_DATA = 3;
const HAVE_METADATA = 1;
/** A file that has given nothing for this long is left behind, and joins again when it can. */
const PATIENCE_MS = 8_000;
const ANCHOR_AFTER_MS = 200;
/** Browsers take about so long to begin, and readings are that far apart: whoever comes in is told so much before. */
const HEAD_START_MS = 120;
/** While the playhead stands, a file this close to it is left alone: every seek costs a request. */
const STANDING_MS = 20;
export const RATES = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2] as const;

/**
 * Plays the files of a recording together. It owns the clock; the elements follow. Whoever holds it calls `tick` about
 * ten times a second, and reads `snapshot`.
 */
export class Engine {
  readonly #now: () => number;
  readonly #duration: number;
  readonly #pauses: readonly Interval[];
  readonly #followers = new Map<string, Follower>();
  readonly #listeners = new Set<() => void>();
  #clock: Clock = STOPPED;
  #rate = 1;
  #playing = false;
  /** When the files have begun to run, and the clock is set by them once. */
  #anchorAt = Infinity;
  #snapshot: Snapshot = { position: 0, playing: false, waiting: false, rate: 1, spread: 0, broken: [] };

  constructor(options: { duration: number; pauses: readonly Interval[]; now?: () => number; startAt?: number }) {
    this.#now = options.now ?? (() => performance.now());
    this.#duration = options.duration;
    this.#pauses = options.pauses;
    this.#clock = { ...STOPPED, position: options.startAt ?? 0, at: this.#now() };
    this.#snapshot = { ...this.#snapshot, position: this.#clock.position };
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  snapshot = (): Snapshot => this.#snapshot;

  attach(source: Source, element: MediaElement): () => void {
    this.#followers.set(source.id, { source, element, bent: false, waitingSince: undefined, parkedAt: undefined, jumpedTo: undefined, startsAt: 0 });
    return () => {
      this.#followers.delete(source.id);
      element.pause();
    };
  }

  play(): void {
    if (this.#playing) return;
    if (this.position() >= this.#duration) this.seek(0);
    this.#playing = true;
    // Within the user's own gesture: browsers let no other begin to sound.
    for (const { source, element } of this.#followers.values()) if (within(source.present, this.position())) start(element);
    this.tick();
  }

  pause(): void {
    this.#playing = false;
    this.tick();
  }

  toggle(): void {
    if (this.#playing) this.pause();
    else this.play();
  }

  seek(position: number): void {
    const to = skipPause(this.#pauses, Math.min(this.#duration, Math.max(0, position)));
    this.#clock = seekTo(withRate(this.#clock, 0, this.#now()), to, this.#now());
    for (const follower of this.#followers.values()) {
      follower.waitingSince = undefined;
      follower.parkedAt = undefined;
      if (within(follower.source.present, to)) place(follower, to);
    }
    this.tick();
  }

  setRate(rate: number): void {
    this.#rate = Math.min(2, Math.max(0.5, rate));
    if (this.#clock.rate !== 0) this.#clock = withRate(this.#clock, this.#rate, this.#now());
    this.tick();
  }

  position(): number {
    return Math.min(this.#duration, positionAt(this.#clock, this.#now()));
  }

  /** Looks at every file once, and has each do what keeps them in step. */
  tick(): void {
    const now = this.#now();
    let at = this.position();
    if (this.#playing && at >= this.#duration) this.#playing = false;
    const skipped = skipPause(this.#pauses, at);
    if (this.#playing && skipped !== at) {
      this.#clock = seekTo(this.#clock, skipped, now);
      at = skipped;
    }
    let holding = false;
    const drifts: number[] = [];
    const broken: string[] = [];
    for (const follower of this.#followers.values()) {
      if (follower.element.error) broken.push(follower.source.id);
      else if (!this.#isThere(follower, at)) this.#park(follower, at);
      else if (this.#playing) {
        const drift = this.#follow(follower, at, now);
        if (drift === "waiting") holding = true;
        else if (drift !== undefined) drifts.push(drift);
      } else this.#stand(follower, at);
    }
    this.#lead(holding, now);
    if (now >= this.#anchorAt && drifts.length > 0) this.#anchor(drifts, now);
    const next: Snapshot = { position: at, playing: this.#playing, waiting: this.#playing && holding, rate: this.#rate, spread: spread(drifts), broken };
    if (!same(next, this.#snapshot)) {
      this.#snapshot = next;
      for (const listener of this.#listeners) listener();
    }
  }

  #isThere({ source, startsAt }: Follower, at: number): boolean {
    return at >= startsAt && within(source.present, at);
  }

  /** The clock waits for whoever is late: nobody sees a picture without its voice, or one person ahead of another. */
  #lead(holding: boolean, now: number): void {
    const rate = this.#playing && !holding ? this.#rate : 0;
    if (this.#clock.rate === rate) return;
    this.#clock = withRate(this.#clock, rate, now);
    this.#anchorAt = rate === 0 ? Infinity : now + ANCHOR_AFTER_MS;
    for (const follower of this.#followers.values()) {
      const { element } = follower;
      if (rate === 0) element.pause();
      else if (this.#isThere(follower, this.#clock.position) && !element.ended && !element.error) start(element);
    }
  }

  /**
   * Browsers take a while to begin to sound, each file about the same: the clock goes to the one in the middle, rather
   * than all files to the clock.
   */
  #anchor(drifts: number[], now: number): void {
    this.#anchorAt = Infinity;
    const middle = [...drifts].sort((a, b) => a - b)[drifts.length >> 1] as number;
    this.#clock = seekTo(this.#clock, positionAt(this.#clock, now) + middle, now);
  }

  #follow(follower: Follower, at: number, now: number): number | "waiting" | undefined {
    const { element, source } = follower;
    follower.parkedAt = undefined;
    const drift = element.currentTime * 1000 - (at - source.offset_ms);
    // It has come to its end a little early: there is nothing more to wait for.
    if (element.ended && drift > -1000) return undefined;
    if (element.seeking || element.readyState < HAVE_FUTURE_DATA) {
      follower.waitingSince ??= now;
      const late = now - follower.waitingSince > PATIENCE_MS;
      return late ? undefined : "waiting";
    }
    follower.waitingSince = undefined;
    const action = correct(drift, this.#rate, follower.bent);
    follower.bent = action.kind === "bend";
    if (element.playbackRate !== action.rate) element.playbackRate = action.rate;
    if (action.kind !== "jump") follower.jumpedTo = undefined;
    else if (drift > 0 && follower.jumpedTo !== undefined && Math.abs(follower.jumpedTo - at) < JUMP_MS) {
      // It was sent here and is further on: the browser went to the first thing that there is.
      follower.startsAt = element.currentTime * 1000 + source.offset_ms;
      follower.jumpedTo = undefined;
      element.pause();
      return undefined;
    } else {
      follower.jumpedTo = at;
      place(follower, at);
      follower.waitingSince = now;
      return "waiting";
    }
    if (element.paused && this.#clock.rate !== 0) start(element);
    return drift;
  }

  #stand(follower: Follower, at: number): void {
    const { element, source } = follower;
    if (!element.paused) element.pause();
    const drift = element.currentTime * 1000 - (at - source.offset_ms);
    if (Math.abs(drift) > STANDING_MS && !element.seeking && element.readyState >= HAVE_METADATA && follower.parkedAt !== at) {
      place(follower, at);
      follower.parkedAt = at;
    }
  }

  /** Somebody who is not there: silent, and ready where they will come in; begun a moment before that. */
  #park(follower: Follower, at: number): void {
    const { element, source } = follower;
    follower.waitingSince = undefined;
    const next = nextWithin(source.present, Math.max(at, follower.startsAt));
    const isReady = next !== undefined && follower.parkedAt === next && !element.seeking && element.readyState >= HAVE_FUTURE_DATA;
    if (isReady && this.#clock.rate !== 0 && next - at <= HEAD_START_MS * this.#rate) {
      if (element.playbackRate !== this.#rate) element.playbackRate = this.#rate;
      start(element);
      return;
    }
    if (!element.paused) element.pause();
    if (next === undefined || follower.parkedAt === next || element.seeking || element.readyState < HAVE_METADATA) return;
    place(follower, next);
    follower.parkedAt = next;
  }
}

function place({ element, source }: Follower, at: number): void {
  const end = Number.isFinite(element.duration) ? element.duration : Infinity;
  element.currentTime = Math.min(end, Math.max(0, (at - source.offset_ms) / 1000));
}

function start(element: MediaElement): void {
  // Refused while it is being paused again, or by a browser that wants a gesture first: the next tick tries again.
  if (element.paused) element.play().catch(() => undefined);
}

function same(a: Snapshot, b: Snapshot): boolean {
  return a.position === b.position && a.playing === b.playing && a.waiting === b.waiting && a.rate === b.rate && a.spread === b.spread && a.broken.join() === b.broken.join();
}
