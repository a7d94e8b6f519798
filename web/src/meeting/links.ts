export type Part = { text: string; href?: string };

const LINK = /https?:\/\/[^\s<>"]+/gi;

/** Takes a message apart into text and links. Only the web's own addresses become links. */
export function linkParts(text: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const match of text.matchAll(LINK)) {
    // A full stop after an address belongs to the sentence.
    const href = match[0].replace(/[.,;:!?)\]}'»]+$/u, "");
    if (!URL.canParse(href)) continue;
    if (match.index > at) parts.push({ text: text.slice(at, match.index) });
    parts.push({ text: href, href });
    at = match.index + href.length;
  }
  if (at < text.length) parts.push({ text: text.slice(at) });
  return parts;
}
