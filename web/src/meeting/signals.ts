/** What participants tell each other beside sound and picture. */

/** An attribute: since when the hand is up (RFC 3339); empty when it is down. The server may lower it. */
export const HAND = "hand_raised_at";

/** Topic of data messages that carry one emoji in UTF-8, unreliably: a late reaction is worth nothing. */
export const REACTION_TOPIC = "reaction";

export const REACTIONS = ["👍", "👏", "❤️", "😂", "😮", "🎉"] as const;

/** Only what the pages themselves send is shown: a reaction is no way to put text on people's screens. */
export function readReaction(payload: Uint8Array): string | undefined {
  if (payload.length > 16) return undefined;
  const text = new TextDecoder().decode(payload);
  return REACTIONS.find((reaction) => reaction === text);
}
