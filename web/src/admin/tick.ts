import type { LoadStep, LoadTick } from "../api/contract.ts";

const FIELDS = ["second", "seconds", "participants", "joins", "tracks", "received", "lost", "bytes", "sent", "freezes"] as const;
const PARTS = ["audio_latency", "video_latency", "tester"] as const;

/** One second of a load test, as an event has it; `undefined` for what is none. */
export function readTick(text: string): LoadTick | undefined {
  try {
    const value = JSON.parse(text) as Record<string, unknown> | null;
    const whole = FIELDS.every((field) => typeof value?.[field] === "number") && PARTS.every((part) => value?.[part] instanceof Object);
    return whole ? (value as LoadTick) : undefined;
  } catch {
    return undefined;
  }
}

/** The steps of a search for the limit, as an event has them. */
export function readSteps(text: string): LoadStep[] {
  try {
    const value = JSON.parse(text) as unknown;
    return Array.isArray(value) ? (value as LoadStep[]) : [];
  } catch {
    return [];
  }
}

/** How late the tester was, in milliseconds. */
export const lateness = (tick: LoadTick): number => Math.max(tick.tester.send_lag_ms, tick.tester.loop_lag_ms);

/** Of what should have come in this second. */
export const lossPercent = (tick: LoadTick): number => (tick.received + tick.lost === 0 ? 0 : (100 * tick.lost) / (tick.received + tick.lost));

/** Received in this second, in Mbit. */
export const megabits = (tick: LoadTick): number => (tick.bytes * 8) / 1e6;
