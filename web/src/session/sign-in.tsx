import { useState, type FormEvent, type ReactNode } from "react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Navigate, useNavigate, useParams, useSearchParams } from "react-router";

import { client } from "../api/client.ts";
import type { Session, UserInvitation } from "../api/contract.ts";
import { Brand, LanguageChoice } from "../app/brand.tsx";
import { usePageTitle } from "../app/title.ts";
import { currentLanguage, type Language } from "../i18n/index.ts";
import { explain } from "../i18n/problems.ts";
import { Button, TextField } from "../ui/controls.tsx";
import { Notice, Placeholder } from "../ui/surfaces.tsx";
import { useFaults } from "../ui/form.tsx";
import { useConfig, useSession } from "./session.tsx";

const SHORTEST_PASSWORD = 10;

/** One narrow card in the middle: log-in, set-up, invitations. */
export function Gate({ title, lead, children }: { title: string; lead?: string; children: ReactNode }) {
  usePageTitle(title);
  return (
    <div className="gate">
      <header className="row"><Brand /><span className="push"><LanguageChoice /></span></header>
      <main className="gate-card">
        <h1>{title}</h1>
        {lead && <p className="soft">{lead}</p>}
        {children}
      </main>
    </div>
  );
}

/** Only paths of our own are gone back to. */
function wayBack(next: string | null): string {
  return next && next.startsWith("/") && !next.startsWith("//") && !next.includes("\\") ? next : "/";
}

export function LoginPage() {
  const { t } = useTranslation();
  const { state, begin } = useSession();
  const config = useConfig();
  const navigate = useNavigate();
  const [params] = useSearchParams();
  const next = wayBack(params.get("next"));
  const login = useMutation({
    mutationFn: (body: { email: string; password: string }) => client.request<Session>("POST", "/api/auth/login", { body, anonymous: true }),
    onSuccess: (session) => {
      begin(session);
      void navigate(next, { replace: true });
    },
  });
  const faults = useFaults(login.error, ["/email", "/password"]);
  if (state.status === "somebody" && !login.isPending) return <Navigate to={next} replace />;
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    login.mutate({ email: String(form.get("email")), password: String(form.get("password")) });
  };
  return (
    <Gate title={t("login.title")} lead={config?.organisation ? t("login.lead_of", { organisation: config.organisation }) : t("login.lead")}>
      {config?.login.own === false ? (
        <Notice>{t("login.foreign_only")}</Notice>
      ) : (
        <form className="stack" onSubmit={submit}>
          {config?.set_up === false && <Notice tone="warn">{t("login.not_set_up")}</Notice>}
          {faults.notice}
          <TextField label={t("fields.email")} name="email" type="email" autoComplete="username" required autoFocus fault={faults.at("/email")} />
          <TextField label={t("fields.password")} name="password" type="password" autoComplete="current-password" required fault={faults.at("/password")} />
          <Button type="submit" look="primary" size="large" wide busy={login.isPending}>{t("login.submit")}</Button>
        </form>
      )}
    </Gate>
  );
}

type NewAccount = { name: string; email: string; password: string; language: Language };

function AccountForm({ defaults, action, error, busy, onSubmit }: { defaults?: { name?: string | null; email?: string | null }; action: string; error: unknown; busy: boolean; onSubmit: (account: NewAccount) => void }) {
  const { t } = useTranslation();
  const [mismatch, setMismatch] = useState(false);
  const faults = useFaults(error, ["/name", "/email", "/password"]);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "");
    const differ = text("password") !== text("again");
    setMismatch(differ);
    if (!differ) onSubmit({ name: text("name").trim(), email: text("email").trim(), password: text("password"), language: currentLanguage() });
  };
  return (
    <form className="stack" onSubmit={submit}>
      {faults.notice}
      <TextField label={t("fields.name")} name="name" autoComplete="name" required maxLength={100} defaultValue={defaults?.name ?? ""} fault={faults.at("/name")} autoFocus />
      <TextField label={t("fields.email")} name="email" type="email" autoComplete="username" required defaultValue={defaults?.email ?? ""} fault={faults.at("/email")} />
      <TextField label={t("fields.password")} name="password" type="password" autoComplete="new-password" required minLength={SHORTEST_PASSWORD} hint={t("fields.password_hint", { count: SHORTEST_PASSWORD })} fault={faults.at("/password")} />
      <TextField label={t("fields.password_again")} name="again" type="password" autoComplete="new-password" required fault={mismatch ? t("fields.password_mismatch") : undefined} />
      <Button type="submit" look="primary" size="large" wide busy={busy}>{action}</Button>
    </form>
  );
}

/** After an account has been made: the answer may be a session; if not, one is asked for. */
async function enter(made: Partial<Session> | undefined, account: NewAccount): Promise<Session> {
  if (made?.access_token && made.user && made.expires_in) return made as Session;
  const body = { email: account.email, password: account.password };
  return client.request<Session>("POST", "/api/auth/login", { body, anonymous: true });
}

export function SetupPage() {
  const { t } = useTranslation();
  const { begin } = useSession();
  const navigate = useNavigate();
  const [params] = useSearchParams();
  const token = params.get("token") ?? "";
  const setup = useMutation({
    mutationFn: async (account: NewAccount) =>
      enter(await client.request<Partial<Session>>("POST", "/api/setup", { body: { token, ...account }, anonymous: true }), account),
    onSuccess: (session) => {
      begin(session);
      void navigate("/", { replace: true });
    },
  });
  return (
    <Gate title={t("setup.title")} lead={t("setup.lead")}>
      {token ? <AccountForm action={t("setup.submit")} error={setup.error} busy={setup.isPending} onSubmit={setup.mutate} /> : <Notice tone="warn">{t("setup.no_token")}</Notice>}
    </Gate>
  );
}

export function AcceptPage() {
  const { t } = useTranslation();
  const { begin } = useSession();
  const navigate = useNavigate();
  const { token = "" } = useParams();
  const path = `/api/users/invitations/${encodeURIComponent(token)}`;
  const invitation = useQuery({ queryKey: ["user-invitation", token], queryFn: () => client.request<UserInvitation>("GET", path, { anonymous: true }), retry: false });
  const accept = useMutation({
    mutationFn: async (account: NewAccount) =>
      enter(await client.request<Partial<Session>>("POST", `${path}/accept`, { body: account, anonymous: true }), account),
    onSuccess: (session) => {
      begin(session);
      void navigate("/", { replace: true });
    },
  });
  return (
    <Gate title={t("accept.title")} lead={t("accept.lead")}>
      {invitation.isPending && <Placeholder lines={3} />}
      {invitation.isError && <Notice tone="warn">{explain(t, invitation.error)} {t("accept.gone")}</Notice>}
      {invitation.data && <AccountForm defaults={invitation.data} action={t("accept.submit")} error={accept.error} busy={accept.isPending} onSubmit={accept.mutate} />}
    </Gate>
  );
}
