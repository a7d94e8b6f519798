import { client as shared, type Client } from "./client.ts";

/** One server-sent event. */
export type ServerEvent = { type: string; data: string; id: string | undefined };

/**
 * Takes a stream of text apart into events, as the HTML standard has it ("Parsing an event stream"): lines end with CR,
 * LF or both, wherever the chunks are cut.
 */
export class EventParser {
  #rest = "";
  #type = "";
  #data: string[] = [];
  #id: string | undefined;
  /** Milliseconds before the next try, if the server has asked for that. */
  retry: number | undefined;

  get lastId(): string | undefined {
    return this.#id;
  }

  push(chunk: string): ServerEvent[] {
    const text = this.#rest + chunk;
    const events: ServerEvent[] = [];
    let start = 0;
    for (;;) {
      const end = lineEnd(text, start);
      if (!end) break;
      const event = this.#line(text.slice(start, end.at));
      if (event) events.push(event);
      start = end.next;
    }
    this.#rest = text.slice(start);
    return events;
  }

  #line(line: string): ServerEvent | undefined {
    if (line === "") {
      const event = this.#data.length > 0 ? { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id } : undefined;
      this.#type = "";
      this.#data = [];
      return event;
    }
    if (line.startsWith(":")) return undefined;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#type = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    return undefined;
  }
}

function lineEnd(text: string, from: number): { at: number; next: number } | undefined {
  for (let index = from; index < text.length; index += 1) {
    if (text[index] === "\n") return { at: index, next: index + 1 };
    if (text[index] === "\r") {
      // The chunk may end between CR and LF.
      if (index + 1 === text.length) return undefined;
      return { at: index, next: text[index + 1] === "\n" ? index + 2 : index + 1 };
    }
  }
  return undefined;
}

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

/**
 * Listens until `signal` says stop, or until the server ends a stream that `isLast` has seen the end of. `EventSource`
 * cannot send a token, so this reads the stream itself. A line that breaks is taken up again, more slowly each time.
 */
export async function listen(
  path: string,
  onEvent: (event: ServerEvent) => void,
  options: { signal: AbortSignal; client?: Client; isLast?: (event: ServerEvent) => boolean },
): Promise<void> {
  const client = options.client ?? shared;
  const { signal } = options;
  const parser = new EventParser();
  let wait = FIRST_RETRY_MS;
  while (!signal.aborted) {
    try {
      const response = await client.raw("GET", path, { signal });
      // Refused for good: another try would be refused as well.
      if (response.status >= 400 && response.status < 500 && response.status !== 429) return;
      if (response.ok && response.body) {
        wait = FIRST_RETRY_MS;
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          for (const event of parser.push(value)) {
            onEvent(event);
            if (options.isLast?.(event)) return void reader.cancel();
          }
        }
      }
    } catch {
      if (signal.aborted) return;
    }
    await pause(parser.retry ?? wait, signal);
    wait = Math.min(wait * 2, LONGEST_RETRY_MS);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
