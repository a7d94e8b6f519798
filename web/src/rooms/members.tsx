import { useState } from "react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { UserMinus } from "lucide-react";

import { client } from "../api/client.ts";
import type { MemberRole, Room, RoomMember } from "../api/contract.ts";
import { paths } from "../api/paths.ts";
import { useSession } from "../session/session.tsx";
import { IconButton } from "../ui/controls.tsx";
import { Avatar, Confirm, useToasts } from "../ui/surfaces.tsx";
import { AskIn } from "./ask-in.tsx";
import { mayChange } from "./may.ts";

/** A room has one owner, who stays it: what everybody else may be made. */
const CHOICES = ["moderator", "speaker", "member", "listener"] as const satisfies readonly MemberRole[];

/** Whom a room belongs to, and, for those who may say so, what each of them is to it. */
export function Members({ room }: { room: Room }) {
  const { t } = useTranslation();
  const { user } = useSession();
  const may = mayChange(user, room) && room.state !== "ended";
  return (
    <section className="card stack">
      <h2>{t("meeting.people")}</h2>
      <ul className="list plain-list" aria-label={t("meeting.people")}>
        {(room.members ?? []).map((member) => <Member key={member.user.id} room={room} member={member} may={may && member.role !== "owner"} />)}
      </ul>
      {may && <AskIn room={room} />}
      <p className="soft small">{may ? t("rooms.roles_choose") : t("rooms.roles_text")}</p>
    </section>
  );
}

function Member({ room, member: { user, role }, may }: { room: Room; member: RoomMember; may: boolean }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const { say, complain } = useToasts();
  const [leaving, setLeaving] = useState(false);
  const change = useMutation({
    mutationFn: (chosen: MemberRole) => client.put<Room>(paths.member(room.name, user.id), { role: chosen }),
    onSuccess: (changed) => {
      queries.setQueryData(["room", room.name], changed);
      say(t("rooms.role_changed", { name: user.name }));
    },
    onError: complain,
  });
  const remove = useMutation({
    mutationFn: () => client.delete(paths.member(room.name, user.id)),
    onSuccess: () => {
      setLeaving(false);
      say(t("rooms.member_gone", { name: user.name }));
    },
    onError: complain,
    onSettled: () => {
      void queries.invalidateQueries({ queryKey: ["room", room.name] });
      void queries.invalidateQueries({ queryKey: ["removed", room.name] });
    },
  });
  return (
    <li>
      <Avatar name={user.name} id={user.id} size={32} />
      <span className="grow truncate">{user.name}</span>
      {may ? (
        <>
          <select className="input compact" aria-label={t("rooms.role_of", { name: user.name })} value={change.isPending ? change.variables : role} disabled={change.isPending} onChange={(event) => change.mutate(event.target.value as MemberRole)}>
            {CHOICES.map((choice) => <option key={choice} value={choice}>{t(`rooms.role_${choice}`)}</option>)}
          </select>
          <IconButton size="small" label={t("meeting.people_remove", { name: user.name })} onClick={() => setLeaving(true)}><UserMinus size={17} /></IconButton>
        </>
      ) : <span className={role === "owner" ? "badge info" : "badge"}>{t(`rooms.role_${role}`)}</span>}
      {leaving && <Confirm title={t("rooms.member_remove", { name: user.name })} text={t("rooms.member_remove_text")} action={t("rooms.member_remove_action")} busy={remove.isPending} onConfirm={() => remove.mutate()} onClose={() => setLeaving(false)} />}
    </li>
  );
}
