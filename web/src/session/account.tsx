import { useState, type FormEvent } from "react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { BellOff, BellRing, CalendarDays, Copy, LogOut } from "lucide-react";

import { client } from "../api/client.ts";
import type { User } from "../api/contract.ts";
import { PageHead } from "../app/shell.tsx";
import { chooseLanguage, currentLanguage, LANGUAGE_NAMES, LANGUAGES, type Language } from "../i18n/index.ts";
import { Button, IconButton, SelectField, TextField } from "../ui/controls.tsx";
import { useFaults } from "../ui/form.tsx";
import { Fault, Notice, useCopy, useToasts } from "../ui/surfaces.tsx";
import { chooseTheme, storedTheme, type Theme } from "../ui/theme.ts";
import { pushPossible, subscribe, subscribed, unsubscribe } from "./push.ts";
import { useConfig, useSession } from "./session.tsx";

export default function AccountPage() {
  const { t } = useTranslation();
  const { user } = useSession();
  if (!user) return null;
  return (
    <>
      <PageHead title={t("account.title")} />
      <div className="form-columns half-columns">
        <div className="stack">
          <Profile user={user} />
          <Push />
        </div>
        <div className="stack">
          <Password />
          <Calendar />
          <Sessions />
        </div>
      </div>
    </>
  );
}

function Profile({ user }: { user: User }) {
  const { t } = useTranslation();
  const { update } = useSession();
  const { say } = useToasts();
  const [theme, setTheme] = useState<Theme>(storedTheme);
  const save = useMutation({
    mutationFn: (body: { name: string; language: string }) => client.patch<User>("/api/me", body),
    onSuccess: (saved, { language }) => {
      update(saved);
      chooseLanguage(language as Language);
      say(t("common.saved"));
    },
  });
  const faults = useFaults(save.error, ["/name", "/language"]);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    save.mutate({ name: String(form.get("name")).trim(), language: String(form.get("language")) });
  };
  return (
    <form className="card stack" onSubmit={submit}>
      <h2>{t("account.profile")}</h2>
      {faults.notice}
      <TextField label={t("fields.name")} name="name" required maxLength={100} defaultValue={user.name} autoComplete="name" fault={faults.at("/name")} />
      <TextField label={t("fields.email")} value={user.email ?? ""} readOnly disabled />
      <SelectField label={t("common.language")} name="language" defaultValue={user.language ?? currentLanguage()} fault={faults.at("/language")}>
        {LANGUAGES.map((language) => <option key={language} value={language}>{LANGUAGE_NAMES[language]}</option>)}
      </SelectField>
      <SelectField label={t("account.theme")} value={theme} onChange={(event) => { const next = event.target.value as Theme; setTheme(next); chooseTheme(next); }}>
        {(["auto", "light", "dark"] as const).map((one) => <option key={one} value={one}>{t(`account.theme_${one}`)}</option>)}
      </SelectField>
      <div><Button type="submit" look="primary" busy={save.isPending}>{t("common.save")}</Button></div>
    </form>
  );
}

function Password() {
  const { t } = useTranslation();
  const { say } = useToasts();
  const change = useMutation({ mutationFn: (body: { current_password: string; password: string }) => client.patch<User>("/api/me", body), onSuccess: () => say(t("common.saved")) });
  const faults = useFaults(change.error, ["/current_password", "/password"]);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const element = event.currentTarget;
    const form = new FormData(element);
    change.mutate({ current_password: String(form.get("current")), password: String(form.get("password")) }, { onSuccess: () => element.reset() });
  };
  return (
    <form className="card stack" onSubmit={submit}>
      <h2>{t("account.password")}</h2>
      {faults.notice}
      <TextField label={t("account.password_now")} name="current" type="password" required autoComplete="current-password" fault={faults.at("/current_password")} />
      <TextField label={t("account.password_new")} name="password" type="password" required minLength={10} autoComplete="new-password" hint={t("fields.password_hint", { count: 10 })} fault={faults.at("/password")} />
      <div><Button type="submit" busy={change.isPending}>{t("account.password_change")}</Button></div>
    </form>
  );
}

function Calendar() {
  const { t } = useTranslation();
  const copy = useCopy();
  const make = useMutation({ mutationFn: () => client.post<{ url: string }>("/api/calendar/key") });
  const url = make.data && new URL(make.data.url, window.location.origin).href;
  return (
    <section className="card stack">
      <h2>{t("account.calendar")}</h2>
      <p className="soft">{t("account.calendar_text")}</p>
      {make.isError && <Fault error={make.error} />}
      {url
        ? <div className="secret"><code>{url}</code><IconButton label={t("common.copy")} onClick={() => copy(url)}><Copy size={17} /></IconButton></div>
        : <div><Button busy={make.isPending} onClick={() => make.mutate()}><CalendarDays size={17} />{t("account.calendar_make")}</Button></div>}
    </section>
  );
}

function Push() {
  const { t } = useTranslation();
  const config = useConfig();
  const { say } = useToasts();
  const key = config?.push_public_key;
  const queries = useQueryClient();
  const here = useQuery({ queryKey: ["push", "here"], queryFn: subscribed, enabled: pushPossible(), staleTime: 0 });
  const known = () => void queries.invalidateQueries({ queryKey: ["push"] });
  const turnOn = useMutation({ mutationFn: () => subscribe(key ?? ""), onSuccess: () => { say(t("account.push_on")); known(); } });
  const turnOff = useMutation({ mutationFn: unsubscribe, onSuccess: () => { say(t("account.push_off")); known(); } });
  return (
    <section className="card stack">
      <h2>{t("account.push")}</h2>
      <p className="soft">{t("account.push_text")}</p>
      {turnOn.isError && <Fault error={turnOn.error} />}
      {turnOff.isError && <Fault error={turnOff.error} />}
      {here.data ? (
        <>
          <Notice tone="good">{t("account.push_on")}</Notice>
          <div><Button busy={turnOff.isPending} onClick={() => turnOff.mutate()}><BellOff size={17} />{t("account.push_turn_off")}</Button></div>
        </>
      ) : key && pushPossible()
        ? <div><Button busy={turnOn.isPending} onClick={() => turnOn.mutate()}><BellRing size={17} />{t("account.push_turn_on")}</Button></div>
        : <Notice>{key ? t("account.push_browser") : t("account.push_server")}</Notice>}
    </section>
  );
}

function Sessions() {
  const { t } = useTranslation();
  const { end } = useSession();
  return (
    <section className="card stack">
      <h2>{t("account.sessions")}</h2>
      <p className="soft">{t("account.sessions_text")}</p>
      <div><Button look="danger" onClick={() => void end(true)}><LogOut size={17} />{t("account.logout_all")}</Button></div>
    </section>
  );
}
