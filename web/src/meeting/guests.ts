/**
 * What the server gave guests so that they are the same guest when they come again. Browsers keep it in a cookie of the
 * server's; in another site's frame they may not, so this page sends it back itself for as long as it is open. It goes
 * nowhere where another page could read it.
 */
const known = new Map<string, string>();

export function keepGuest(room: string, answer: { guest?: string | null }): void {
  if (answer.guest) known.set(room, answer.guest);
}

/** To be put into what is asked of the server. */
export function knownGuest(room: string): { guest?: string } {
  const guest = known.get(room);
  return guest ? { guest } : {};
}
