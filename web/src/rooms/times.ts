/** A time as a `datetime-local` field has it: the clock on the wall here, to the minute. */
export function localMinute(at: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** The next half hour. */
export function nextHalfHour(now: Date): string {
  const at = new Date(now);
  at.setMinutes(at.getMinutes() < 30 ? 30 : 60, 0, 0);
  return localMinute(at);
}
