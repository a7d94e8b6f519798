import { useState, type FormEvent } from "react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Copy, Link as LinkIcon, Trash } from "lucide-react";

import { client } from "../api/client.ts";
import type { Invitation, NewInvitation, Page } from "../api/contract.ts";
import { paths } from "../api/paths.ts";
import { formatRelative } from "../i18n/format.ts";
import { Button, IconButton, SelectField, TextField } from "../ui/controls.tsx";
import { useFaults } from "../ui/form.tsx";
import { Confirm, Dialog, Fault, Notice, Placeholder, useCopy, useToasts } from "../ui/surfaces.tsx";

/** Hours a link is good for; 0: as long as the meeting is there. */
const LIFETIMES = [1, 24, 168, 720, 0] as const;

/** Opens the links into a meeting. */
export function InviteButton({ room }: { room: string }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button size="small" onClick={() => setOpen(true)}><LinkIcon size={16} />{t("room.invite_link")}</Button>
      {open && <Dialog title={t("invitations.title")} onClose={() => setOpen(false)}><Invitations room={room} /></Dialog>}
    </>
  );
}

/** Links into a meeting: made, shown once, listed, taken back. */
export function Invitations({ room }: { room: string }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const copy = useCopy();
  const key = ["invitations", room];
  const links = useQuery({ queryKey: key, queryFn: ({ signal }) => client.get<Page<Invitation>>(paths.inRoom(room, "invitations"), undefined, signal), retry: false });
  const make = useMutation({
    mutationFn: (wanted: NewInvitation) => client.create<Invitation>(paths.inRoom(room, "invitations"), wanted),
    onSuccess: () => void queries.invalidateQueries({ queryKey: key }),
  });
  const faults = useFaults(make.error, ["/expires_in_hours", "/max_uses"]);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const hours = Number(form.get("lifetime"));
    const uses = Number(form.get("uses"));
    make.mutate({ guest: form.get("for") === "guests", ...(hours > 0 && { expires_in_hours: hours }), ...(uses > 0 && { max_uses: uses }) });
  };
  const url = make.data?.url && new URL(make.data.url, window.location.origin).href;
  return (
    <div className="stack">
      <form className="stack" onSubmit={submit}>
        {faults.notice}
        <SelectField label={t("invitations.for")} name="for" defaultValue="guests">
          <option value="guests">{t("invitations.for_guests")}</option>
          <option value="members">{t("invitations.for_members")}</option>
        </SelectField>
        <div className="two-columns">
          <SelectField label={t("invitations.lifetime")} name="lifetime" defaultValue="24" fault={faults.at("/expires_in_hours")}>
            {LIFETIMES.map((hours) => <option key={hours} value={hours}>{t(`invitations.lifetime_${hours}`)}</option>)}
          </SelectField>
          <TextField label={t("invitations.uses")} name="uses" type="number" min={1} max={10_000} placeholder={t("invitations.uses_any")} fault={faults.at("/max_uses")} />
        </div>
        <div><Button type="submit" busy={make.isPending}><LinkIcon size={16} />{t("invitations.make")}</Button></div>
      </form>
      {url && (
        <>
          <Notice tone="good">{t("invitations.made")}</Notice>
          <div className="secret"><code data-testid="room-invitation-link">{url}</code><IconButton label={t("common.copy")} onClick={() => copy(url)}><Copy size={17} /></IconButton></div>
        </>
      )}
      {links.isPending && <Placeholder lines={2} />}
      {links.isError && <Fault error={links.error} onRetry={() => void links.refetch()} />}
      {links.data && links.data.items.length > 0 && <ul className="list plain-list" aria-label={t("invitations.title")}>{links.data.items.map((one) => <Line key={one.id} room={room} invitation={one} />)}</ul>}
      {links.data?.items.length === 0 && !url && <p className="soft small">{t("invitations.none")}</p>}
    </div>
  );
}

function Line({ room, invitation }: { room: string; invitation: Invitation }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const { say, complain } = useToasts();
  const [revoking, setRevoking] = useState(false);
  const revoke = useMutation({
    mutationFn: () => client.delete(paths.roomInvitation(room, invitation.id)),
    onSuccess: () => {
      setRevoking(false);
      say(t("invitations.revoked"));
      void queries.invalidateQueries({ queryKey: ["invitations", room] });
    },
    onError: complain,
  });
  const over = invitation.expires_at ? Date.parse(invitation.expires_at) < Date.now() : false;
  const usedUp = invitation.max_uses ? invitation.uses >= invitation.max_uses : false;
  const used = invitation.max_uses ? t("invitations.used_of", { uses: invitation.uses, max: invitation.max_uses }) : t("invitations.used", { count: invitation.uses });
  const until = !invitation.expires_at ? t("invitations.stays") : over ? t("invitations.over") : t("invitations.until", { when: formatRelative(invitation.expires_at) });
  return (
    <li>
      <div className="grow">
        <div>{invitation.guest ? t("invitations.of_guests") : t("invitations.of_members")}{(over || usedUp) && <> <span className="badge warn">{over ? t("invitations.over") : t("invitations.used_up")}</span></>}</div>
        <div className="soft small">{until} · {used} · {t("invitations.made_at", { when: formatRelative(invitation.created_at) })}</div>
      </div>
      <IconButton size="small" label={t("invitations.revoke")} onClick={() => setRevoking(true)}><Trash size={17} /></IconButton>
      {revoking && <Confirm title={t("invitations.revoke_title")} text={t("invitations.revoke_text")} action={t("invitations.revoke")} busy={revoke.isPending} onConfirm={() => revoke.mutate()} onClose={() => setRevoking(false)} />}
    </li>
  );
}
