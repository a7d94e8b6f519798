/** What the user has chosen, kept in this browser; "auto" follows the system. */
export type Theme = "auto" | "light" | "dark";

const KEY = "greffier.theme";
const dark = () => globalThis.matchMedia?.("(prefers-color-scheme: dark)");

export function storedTheme(): Theme {
  const value = readStored(KEY);
  return value === "light" || value === "dark" ? value : "auto";
}

function show(theme: Theme): void {
  const resolved = theme === "auto" ? (dark()?.matches ? "dark" : "light") : theme;
  document.documentElement.dataset["theme"] = resolved;
}

export function chooseTheme(theme: Theme): void {
  writeStored(KEY, theme);
  show(theme);
}

/** Before anything is drawn. */
export function startTheme(): void {
  show(storedTheme());
  dark()?.addEventListener("change", () => show(storedTheme()));
}

/** Storage may be refused (private windows, embedded frames): then there is nothing stored. */
export function readStored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function writeStored(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Nothing is remembered then.
  }
}
