import i18next from "i18next";
import { initReactI18next } from "react-i18next";

import { readStored, writeStored } from "../ui/theme.ts";
import { en } from "./en.ts";
import { fr } from "./fr.ts";
import { tellWorker } from "./worker.ts";

export const LANGUAGES = ["fr", "en"] as const;
/** As those who speak them call them. */
export const LANGUAGE_NAMES = { fr: "Français", en: "English" } as const;
export type Language = (typeof LANGUAGES)[number];

const KEY = "greffier.language";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "translation";
    resources: { translation: typeof en };
  }
}

const known = (wanted: string): Language | undefined => LANGUAGES.find((language) => wanted.toLowerCase().split("-")[0] === language);

/** The first that is known: what was chosen here, then the browser's list. */
export function preferredLanguage(stored: string | null, browser: readonly string[]): Language | undefined {
  return [stored ?? "", ...browser].map(known).find((language) => language !== undefined);
}

/** What the administrators chose for people whose browser speaks no language of ours; English if that is not to be had. */
async function serversLanguage(): Promise<Language> {
  try {
    const response = await fetch("/api/config", { signal: AbortSignal.timeout(2_000) });
    const config = (await response.json()) as { default_language?: unknown };
    return known(String(config.default_language)) ?? "en";
  } catch {
    return "en";
  }
}

function tell(language: string): void {
  document.documentElement.lang = language;
}

export async function startLanguage(): Promise<void> {
  const lng = preferredLanguage(readStored(KEY), navigator.languages ?? []) ?? (await serversLanguage());
  await i18next.use(initReactI18next).init({
    lng,
    fallbackLng: "en",
    resources: { en: { translation: en }, fr: { translation: fr } },
    interpolation: { escapeValue: false },
    showSupportNotice: false,
  } as Parameters<typeof i18next.init>[0]);
  tell(lng);
}

export function currentLanguage(): Language {
  return known(i18next.language ?? "") ?? "en";
}

export function chooseLanguage(language: Language): void {
  writeStored(KEY, language);
  tell(language);
  void i18next.changeLanguage(language).then(() => tellWorker()).catch(() => undefined);
}

/** Whether somebody has chosen a language in this browser. */
export const hasChosenLanguage = (): boolean => known(readStored(KEY) ?? "") !== undefined;
