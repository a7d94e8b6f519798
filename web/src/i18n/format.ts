import { currentLanguage } from "./index.ts";

/** Dates, lengths and sizes, as the language has them. */

const formats = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = currentLanguage() + JSON.stringify(options);
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(currentLanguage(), options);
    formats.set(key, found);
  }
  return found;
}

export const formatDate = (time: string | Date): string => format({ dateStyle: "medium" }).format(new Date(time));
export const formatDay = (time: string | Date): string => format({ weekday: "long", day: "numeric", month: "long" }).format(new Date(time));
export const formatShortDay = (time: string | Date): string => format({ day: "numeric", month: "short" }).format(new Date(time));
export const formatTime = (time: string | Date): string => format({ timeStyle: "short" }).format(new Date(time));
export const formatDateTime = (time: string | Date): string => format({ dateStyle: "medium", timeStyle: "short" }).format(new Date(time));

/** `1:02:03`, `4:05`. */
export function formatClock(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const seconds = String(total % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

/** `1 h 5 min`, `12 min`, `40 s`. */
export function formatLength(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return minutes % 60 === 0 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** For what goes on for long: days, from the second on. */
export function formatUptime(seconds: number): string {
  if (seconds < 172_800) return formatLength(seconds * 1000);
  return new Intl.NumberFormat(currentLanguage(), { style: "unit", unit: "day", unitDisplay: "long" }).format(Math.floor(seconds / 86_400));
}

const UNITS = { fr: ["o", "ko", "Mo", "Go", "To"], en: ["B", "kB", "MB", "GB", "TB"] } as const;

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < 4) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  const number = new Intl.NumberFormat(currentLanguage(), { maximumFractionDigits: digits }).format(value);
  return `${number} ${UNITS[currentLanguage()][unit]}`;
}

export const formatNumber = (value: number, digits = 0): string =>
  new Intl.NumberFormat(currentLanguage(), { maximumFractionDigits: digits }).format(value);

/** "in 5 minutes", "yesterday". */
export function formatRelative(time: string | Date, now = Date.now()): string {
  const seconds = Math.round((new Date(time).getTime() - now) / 1000);
  const relative = new Intl.RelativeTimeFormat(currentLanguage(), { numeric: "auto" });
  const size = Math.abs(seconds);
  if (size < 60) return relative.format(seconds, "second");
  if (size < 3600) return relative.format(Math.round(seconds / 60), "minute");
  if (size < 86_400) return relative.format(Math.round(seconds / 3600), "hour");
  return relative.format(Math.round(seconds / 86_400), "day");
}
