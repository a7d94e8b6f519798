/**
 * Keeps many files in step. One clock leads, made of the browser's monotonic time; each file follows it, by a little
 * more or less speed when it is slightly off, by a jump when it is far off. All pure: the player feeds it readings.
 */

/** Where a recording is, as a straight line through time. `rate` 0: it stands. */
export type Clock = { readonly position: number; readonly at: number; readonly rate: number };

export const STOPPED: Clock = { position: 0, at: 0, rate: 0 };

/** In milliseconds of the recording. */
export const positionAt = (clock: Clock, now: number): number => clock.position + (now - clock.at) * clock.rate;

/** The same position, going on at another speed. */
export const withRate = (clock: Clock, rate: number, now: number): Clock => ({ position: positionAt(clock, now), at: now, rate });

export const seekTo = (clock: Clock, position: number, now: number): Clock => ({ ...clock, position, at: now });

/** Closer than this, nothing is done: it is a third of what people may notice. */
export const IN_STEP_MS = 15;
/** Beyond this, speed alone would take too long. */
export const JUMP_MS = 250;
/** Beyond this, people notice: it is made up quickly rather than quietly. */
export const NOTICED_MS = 45;
/** The most that speed is bent by: what cannot be heard, and what can, for a moment. */
export const MOST_BEND = 0.06;
export const HASTY_BEND = 0.25;
/** A difference is made up within about this long. */
const RECOVER_MS = 500;

export type Correction = { kind: "hold"; rate: number } | { kind: "bend"; rate: number } | { kind: "jump"; rate: number };

/**
 * What a file has to do. `drift` is its position less the clock's, in ms: positive when it is ahead. `bent` says that it
 * is being corrected already; then it goes on until it is really in step, so that it does not flutter about the edge.
 */
export function correct(drift: number, rate: number, bent: boolean): Correction {
  const size = Math.abs(drift);
  if (size > JUMP_MS * Math.max(1, rate)) return { kind: "jump", rate };
  if (size <= (bent ? IN_STEP_MS / 3 : IN_STEP_MS)) return { kind: "hold", rate };
  const most = size > NOTICED_MS ? HASTY_BEND : MOST_BEND;
  const bend = Math.max(-most, Math.min(most, -drift / (RECOVER_MS * rate)));
  return { kind: "bend", rate: rate * (1 + bend) };
}

/** How far apart the files are that should show the same moment, in ms. */
export function spread(drifts: readonly number[]): number {
  return drifts.length < 2 ? 0 : Math.max(...drifts) - Math.min(...drifts);
}

export type Span = { from_ms: number; to_ms: number };

/** Whether a moment lies in one of them; they are sorted, and `to_ms` is not part of them. */
export function within(spans: readonly Span[], at: number): boolean {
  return spanAt(spans, at) !== undefined;
}

export function spanAt<T extends Span>(spans: readonly T[], at: number): T | undefined {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((spans[middle] as T).to_ms <= at) low = middle + 1;
    else high = middle;
  }
  const found = spans[low];
  return found && found.from_ms <= at ? found : undefined;
}

/** The next moment, from `at` on, that lies in one of the spans. */
export function nextWithin(spans: readonly Span[], at: number): number | undefined {
  if (within(spans, at)) return at;
  return spans.find((span) => span.from_ms > at)?.from_ms;
}
