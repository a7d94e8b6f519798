import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Languages } from "lucide-react";

import { client } from "../api/client.ts";
import type { User } from "../api/contract.ts";
import { chooseLanguage, currentLanguage, LANGUAGE_NAMES, LANGUAGES, type Language } from "../i18n/index.ts";
import { useConfig, useSession } from "../session/session.tsx";
import { Button } from "../ui/controls.tsx";
import { Menu, MenuItem } from "../ui/surfaces.tsx";

export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden>
      <rect width="32" height="32" rx="9" fill="#0c6153" />
      <path d="M9 10h14M9 16h9M9 22h5" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" />
      <circle cx="22" cy="21" r="4" fill="#ff6a5f" />
    </svg>
  );
}

export function Brand({ link = true }: { link?: boolean }) {
  const organisation = useConfig()?.organisation;
  const inside = <><Mark /><span className="truncate">{organisation || "Greffier"}</span></>;
  return link ? <Link to="/" className="brand">{inside}</Link> : <span className="brand">{inside}</span>;
}

export function LanguageChoice() {
  const { t } = useTranslation();
  const { user, update } = useSession();
  const choose = (language: Language) => {
    chooseLanguage(language);
    // The account remembers it for other browsers, and for what is sent while no page is open.
    if (user && user.language !== language) void client.patch<User>("/api/me", { language }).then(update).catch(() => undefined);
  };
  return (
    <Menu button={(open) => <Button {...open} look="quiet" size="small" aria-label={`${currentLanguage().toUpperCase()}, ${t("common.language")}`}><Languages size={17} />{currentLanguage().toUpperCase()}</Button>}>
      {(close) => LANGUAGES.map((language) => (
        <MenuItem key={language} checked={language === currentLanguage()} onSelect={() => { choose(language); close(); }}>
          <span lang={language}>{LANGUAGE_NAMES[language]}</span>
        </MenuItem>
      ))}
    </Menu>
  );
}
