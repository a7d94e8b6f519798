import { useState, type FormEvent } from "react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Copy, Ellipsis, KeyRound, Trash, UserPlus } from "lucide-react";

import { client } from "../api/client.ts";
import type { ApiKey, Page, Settings, User, UserInvitation, UserRole } from "../api/contract.ts";
import { paths } from "../api/paths.ts";
import { usePages, useRested } from "../api/queries.ts";
import { formatDate, formatRelative } from "../i18n/format.ts";
import { LANGUAGE_NAMES, LANGUAGES } from "../i18n/index.ts";
import { useConfig, useSession } from "../session/session.tsx";
import { Button, IconButton, SearchField, SelectField, Switch, TextField } from "../ui/controls.tsx";
import { useFaults } from "../ui/form.tsx";
import { Avatar, Confirm, Dialog, Empty, Menu, MenuItem, Notice, useCopy, useToasts } from "../ui/surfaces.tsx";
import { Part } from "./admin.tsx";

export function UsersPage() {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const [inviting, setInviting] = useState(false);
  const users = usePages<User>(["users"], "/api/users", { q: useRested(text.trim()), limit: 50 });
  return (
    <Part title={t("admin.users")} query={users} tools={<><SearchField label={t("admin.users_search")} value={text} onChange={(event) => setText(event.target.value)} /><Button look="primary" onClick={() => setInviting(true)}><UserPlus size={17} />{t("admin.invite")}</Button></>}>
      {users.items && (
        <div className="card flush list-card">
          <ul className="list">{users.items.map((user) => <UserLine key={user.id} user={user} />)}</ul>
          {users.items.length === 0 && <Empty title={t("admin.users_none")} />}
        </div>
      )}
      {users.hasNextPage && <div className="more-button"><Button busy={users.isFetchingNextPage} onClick={() => void users.fetchNextPage()}>{t("common.more")}</Button></div>}
      {inviting && <InviteUser onClose={() => setInviting(false)} />}
    </Part>
  );
}

function UserLine({ user }: { user: User }) {
  const { t } = useTranslation();
  const { user: self } = useSession();
  const queries = useQueryClient();
  const { say, complain } = useToasts();
  const [deleting, setDeleting] = useState(false);
  const done = () => {
    setDeleting(false);
    say(t("common.saved"));
    void queries.invalidateQueries({ queryKey: ["users"] });
  };
  const change = useMutation({ mutationFn: (body: Partial<User>) => client.patch<User>(paths.user(user.id), body), onSuccess: done, onError: complain });
  const remove = useMutation({ mutationFn: () => client.delete(paths.user(user.id)), onSuccess: done, onError: complain });
  return (
    <li>
      <Avatar name={user.name} id={user.id} />
      <div className="grow"><div className="strong truncate">{user.name}</div><div className="soft small truncate">{user.email ?? t("admin.foreign_user")}{user.last_seen_at ? ` · ${formatRelative(user.last_seen_at)}` : ""}</div></div>
      {user.disabled && <span className="badge warn">{t("admin.disabled")}</span>}
      {user.role === "admin" && <span className="badge info">{t("admin.role_admin")}</span>}
      <Menu button={(open) => <IconButton {...open} size="small" label={t("admin.actions_for", { name: user.name })} disabled={user.id === self?.id}><Ellipsis size={18} /></IconButton>}>
        {(close) => (
          <>
            <MenuItem onSelect={() => { change.mutate({ role: user.role === "admin" ? "member" : "admin" }); close(); }}>{user.role === "admin" ? t("admin.make_user") : t("admin.make_admin")}</MenuItem>
            <MenuItem onSelect={() => { change.mutate({ disabled: !user.disabled }); close(); }}>{user.disabled ? t("admin.enable") : t("admin.disable")}</MenuItem>
            <MenuItem danger icon={<Trash size={17} />} onSelect={() => { setDeleting(true); close(); }}>{t("common.delete")}</MenuItem>
          </>
        )}
      </Menu>
      {deleting && <Confirm title={t("admin.delete_user")} text={t("admin.delete_user_text", { name: user.name })} action={t("common.delete")} busy={remove.isPending} onConfirm={() => remove.mutate()} onClose={() => setDeleting(false)} />}
    </li>
  );
}

function InviteUser({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const copy = useCopy();
  const invite = useMutation({ mutationFn: (body: { email?: string; name?: string; role: UserRole }) => client.create<UserInvitation>("/api/users/invitations", body) });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name)).trim();
    invite.mutate({ ...(text("email") && { email: text("email") }), ...(text("name") && { name: text("name") }), role: text("role") as UserRole });
  };
  const url = invite.data?.url && new URL(invite.data.url, window.location.origin).href;
  const faults = useFaults(invite.error, ["/email", "/name", "/role"]);
  return (
    <Dialog title={t("admin.invite")} onClose={onClose}>
      {url ? (
        <div className="stack">
          <Notice tone="good">{t("admin.invited")}</Notice>
          <div className="secret"><code data-testid="invitation-link">{url}</code><IconButton label={t("common.copy")} onClick={() => copy(url)}><Copy size={17} /></IconButton></div>
          <div className="dialog-foot"><Button look="primary" onClick={onClose}>{t("common.done")}</Button></div>
        </div>
      ) : (
        <form className="stack" onSubmit={submit}>
          {faults.notice}
          <TextField label={t("fields.email")} name="email" type="email" autoFocus fault={faults.at("/email")} />
          <TextField label={t("fields.name")} name="name" maxLength={100} fault={faults.at("/name")} />
          <SelectField label={t("admin.role")} name="role" defaultValue="member"><option value="member">{t("admin.role_user")}</option><option value="admin">{t("admin.role_admin")}</option></SelectField>
          <div className="dialog-foot"><Button onClick={onClose}>{t("common.cancel")}</Button><Button type="submit" look="primary" busy={invite.isPending}>{t("admin.invite_make")}</Button></div>
        </form>
      )}
    </Dialog>
  );
}

const SCOPES = ["recordings:read", "recordings:write", "rooms:read", "rooms:write", "tokens", "admin"] as const;

export function KeysPage() {
  const { t } = useTranslation();
  const [making, setMaking] = useState(false);
  const keys = useQuery({ queryKey: ["keys"], queryFn: () => client.get<Page<ApiKey>>("/api/keys") });
  return (
    <Part title={t("admin.keys")} query={keys} tools={<Button look="primary" onClick={() => setMaking(true)}><KeyRound size={17} />{t("admin.key_new")}</Button>}>
      <p className="soft">{t("admin.keys_text")} <a href="/docs">/docs</a></p>
      {keys.data && (
        <div className="card flush list-card">
          {keys.data.items.length === 0 ? <Empty title={t("admin.keys_none")} /> : <ul className="list">{keys.data.items.map((key) => <KeyLine key={key.id} apiKey={key} />)}</ul>}
        </div>
      )}
      {making && <NewKey onClose={() => setMaking(false)} />}
    </Part>
  );
}

function KeyLine({ apiKey }: { apiKey: ApiKey }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const { say, complain } = useToasts();
  const [deleting, setDeleting] = useState(false);
  const remove = useMutation({
    mutationFn: () => client.delete(paths.key(apiKey.id)),
    onSuccess: () => {
      setDeleting(false);
      say(t("admin.key_gone"));
      void queries.invalidateQueries({ queryKey: ["keys"] });
    },
    onError: complain,
  });
  return (
    <li>
      <div className="grow">
        <div className="strong">{apiKey.name}</div>
        <div className="soft small">{apiKey.scopes.join(", ")} · {formatDate(apiKey.created_at)}{apiKey.last_used_at ? ` · ${t("admin.key_used", { when: formatRelative(apiKey.last_used_at) })}` : ""}</div>
      </div>
      <IconButton size="small" label={t("admin.key_delete", { name: apiKey.name })} onClick={() => setDeleting(true)}><Trash size={17} /></IconButton>
      {deleting && <Confirm title={t("admin.key_delete_title")} text={t("admin.key_delete_text", { name: apiKey.name })} action={t("common.delete")} busy={remove.isPending} onConfirm={() => remove.mutate()} onClose={() => setDeleting(false)} />}
    </li>
  );
}

function NewKey({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const copy = useCopy();
  const queries = useQueryClient();
  const [scopes, setScopes] = useState<string[]>(["recordings:read"]);
  const make = useMutation({
    mutationFn: (body: { name: string; scopes: string[] }) => client.create<ApiKey>("/api/keys", body),
    onSuccess: () => void queries.invalidateQueries({ queryKey: ["keys"] }),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    make.mutate({ name: String(new FormData(event.currentTarget).get("name")).trim(), scopes });
  };
  const secret = make.data?.key;
  const faults = useFaults(make.error, ["/name", "/scopes"]);
  return (
    <Dialog title={t("admin.key_new")} onClose={onClose}>
      {secret ? (
        <div className="stack">
          <Notice tone="warn">{t("admin.key_once")}</Notice>
          <div className="secret"><code>{secret}</code><IconButton label={t("common.copy")} onClick={() => copy(secret)}><Copy size={17} /></IconButton></div>
          <div className="dialog-foot"><Button look="primary" onClick={onClose}>{t("common.done")}</Button></div>
        </div>
      ) : (
        <form className="stack" onSubmit={submit}>
          {faults.notice}
          <TextField label={t("admin.key_name")} name="name" required maxLength={100} autoFocus fault={faults.at("/name")} />
          <fieldset className="plain-set stack tight">
            <legend>{t("admin.scopes")}</legend>
            {faults.at("/scopes") && <span className="fault" role="alert">{faults.at("/scopes")}</span>}
            {SCOPES.map((scope) => <Switch key={scope} label={<code>{scope}</code>} checked={scopes.includes(scope)} onChange={(event) => setScopes(event.target.checked ? [...scopes, scope] : scopes.filter((other) => other !== scope))} />)}
          </fieldset>
          <div className="dialog-foot"><Button onClick={onClose}>{t("common.cancel")}</Button><Button type="submit" look="primary" disabled={scopes.length === 0} busy={make.isPending}>{t("admin.key_make")}</Button></div>
        </form>
      )}
    </Dialog>
  );
}

/** What administrators choose while the server runs; the rest is in its configuration. */
export function SettingsPage() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const { say } = useToasts();
  const settings = useQuery({ queryKey: ["settings"], queryFn: () => client.get<Settings>("/api/admin/settings"), refetchOnWindowFocus: false });
  const save = useMutation({
    mutationFn: (body: Settings) => client.patch<Settings>("/api/admin/settings", body),
    onSuccess: (saved) => {
      queries.setQueryData(["settings"], saved);
      // They are read from there by every page.
      void queries.invalidateQueries({ queryKey: ["config"] });
      say(t("common.saved"));
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    save.mutate({ organisation: String(form.get("organisation")).trim(), default_language: String(form.get("language")), waiting_room: form.has("waiting_room") });
  };
  const { data } = settings;
  const config = useConfig();
  const faults = useFaults(save.error, ["/organisation", "/default_language"]);
  return (
    <Part title={t("admin.settings")} query={settings}>
      {data && (
        <form className="card stack" onSubmit={submit}>
          {faults.notice}
          <TextField label={t("settings.organisation")} hint={t("settings.organisation_hint")} name="organisation" maxLength={100} defaultValue={data.organisation ?? ""} fault={faults.at("/organisation")} />
          <SelectField label={t("settings.default_language")} hint={t("settings.default_language_hint")} name="language" defaultValue={data.default_language ?? config?.default_language ?? "en"} fault={faults.at("/default_language")}>
            {LANGUAGES.map((language) => <option key={language} value={language}>{LANGUAGE_NAMES[language]}</option>)}
          </SelectField>
          <Switch name="waiting_room" label={t("settings.waiting_room")} hint={t("settings.waiting_room_hint")} defaultChecked={data.waiting_room ?? false} />
          <div><Button type="submit" look="primary" busy={save.isPending}>{t("common.save")}</Button></div>
        </form>
      )}
    </Part>
  );
}
