import type { Interval } from "../api/contract.ts";

/** The narrowest stroke that can be seen, in thousandths of the whole. */
const NARROWEST = 1.2;
/** Strokes closer than this are one. */
const CLOSE = 0.6;

/**
 * Spans of time as one SVG path, 1000 wide and 10 high. An hour of talk is thousands of spans: what would be drawn in
 * one place is drawn once.
 */
export function strokes(spans: readonly Interval[], duration: number): string {
  const sorted = [...spans].sort((a, b) => a.from_ms - b.from_ms);
  const drawn: { from: number; to: number }[] = [];
  for (const span of sorted) {
    const from = Math.min(1000, Math.max(0, (span.from_ms / duration) * 1000));
    const to = Math.min(1000, Math.max((span.to_ms / duration) * 1000, from + NARROWEST));
    const last = drawn.at(-1);
    if (last && from - last.to < CLOSE) last.to = Math.max(last.to, to);
    else drawn.push({ from, to });
  }
  return drawn.map(({ from, to }) => `M${round(from)} 0H${round(to)}V10H${round(from)}Z`).join("");
}

const round = (value: number) => Math.round(value * 10) / 10;
