/**
 * Where a pasted link, or a room's bare name, leads within these pages. Links to other places lead nowhere.
 */
export function linkTarget(text: string, origin: string): string | undefined {
  const value = text.trim();
  if (!value) return undefined;
  if (/^[a-z][a-z0-9+.-]*:/i.test(value)) {
    let url: URL;
    try {
      url = new URL(value);
    } catch {
      return undefined;
    }
    if (url.origin !== origin) return undefined;
    return /^\/(r|i)\/[^/]+$/.test(url.pathname) ? url.pathname : undefined;
  }
  const path = value.startsWith("/") ? value : undefined;
  if (path) return /^\/(r|i)\/[^/]+$/.test(path) ? path : undefined;
  return /[/?#\\]/.test(value) ? undefined : `/r/${encodeURIComponent(value)}`;
}
