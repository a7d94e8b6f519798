import type { DayStatistics } from "../api/contract.ts";

const DAY_MS = 86_400_000;

/** The day it is here: a date's UTC is another day for some hours around midnight. */
export function isoDay(date: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** A day's beginning here: `new Date("2026-01-31")` would be midnight in Greenwich, the day before in America. */
export const dateOf = (day: string): Date => new Date(`${day}T00:00`);

/** Every day from the first to the last, those without a call too. Days are `YYYY-MM-DD`. */
export function fillDays(days: readonly DayStatistics[], from: string, to: string): DayStatistics[] {
  const known = new Map(days.map((day) => [day.day, day]));
  const filled: DayStatistics[] = [];
  for (let at = Date.parse(`${from}T00:00:00Z`); at <= Date.parse(`${to}T00:00:00Z`); at += DAY_MS) {
    const day = new Date(at).toISOString().slice(0, 10);
    filled.push(known.get(day) ?? { day, calls: 0, minutes: 0, participants: 0 });
  }
  return filled;
}
