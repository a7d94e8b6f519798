import { useMemo } from "react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useParams } from "react-router";

import { client } from "../api/client.ts";
import type { InvitationInfo, Room } from "../api/contract.ts";
import { useServerEvents } from "../api/events.ts";
import { paths } from "../api/paths.ts";
import { useRoom } from "../api/queries.ts";
import { Starting } from "../app/shell.tsx";
import { formatDay, formatTime } from "../i18n/format.ts";
import { explain } from "../i18n/problems.ts";
import { AskIn } from "../rooms/ask-in.tsx";
import { mayChange } from "../rooms/may.ts";
import { Gate } from "../session/sign-in.tsx";
import { useSession } from "../session/session.tsx";
import { ButtonLink } from "../ui/controls.tsx";
import { Notice } from "../ui/surfaces.tsx";
import { MeetingFlow, type Meeting } from "./flow.tsx";

/** `/r/<room>`, for people with an account. */
export default function RoomPage() {
  const { room: name = "" } = useParams();
  const { t } = useTranslation();
  const { user } = useSession();
  const room = useRoom(name);
  useServerEvents();
  // What is shown while in the room does not change with what the server says of it later.
  const { data } = room;
  const meeting = useMemo<Meeting | undefined>(() => data && { name: data.name, title: data.title, callType: data.call_type, role: data.role ?? (user?.role === "admin" ? "moderator" : "member") }, [data?.name, data?.title, data?.call_type, data?.role, user?.role]);
  if (room.isPending) return <Starting />;
  if (!data || !meeting) {
    return (
      <Gate title={t("invite.gone_title")}>
        <Notice tone="warn">{explain(t, room.error)}</Notice>
        <ButtonLink to="/" look="primary">{t("after.home")}</ButtonLink>
      </Gate>
    );
  }
  return <MeetingFlow key={name} meeting={meeting} lead={<Lead room={data} />} guest={false} extra={mayChange(user, data) && <AskIn room={data} />} />;
}

function Lead({ room }: { room: Room }) {
  const { t } = useTranslation();
  const here = room.participants_now;
  const names = here.slice(0, 3).map((person) => person.name || person.identity).join(", ");
  return (
    <>
      {room.scheduled_for && <>{formatDay(room.scheduled_for)}, {formatTime(room.scheduled_for)}. </>}
      {here.length === 0 ? t("prejoin.nobody") : t("prejoin.here", { count: here.length, names })}
      {room.participants_now_from === "last_told" && <> {t("rooms.last_told")}</>}
    </>
  );
}

/** `/i/<token>`, for guests, and for members who were given a link. */
export function InvitePage() {
  const { token = "" } = useParams();
  const { t } = useTranslation();
  const { state, user } = useSession();
  // Guests hear of what happens by what they come in with, in the meeting.
  useServerEvents(undefined, Boolean(user));
  const info = useQuery({
    queryKey: ["invitation", token],
    queryFn: () => client.request<InvitationInfo>("GET", paths.invitation(token), { anonymous: true }),
    retry: false,
    refetchOnWindowFocus: false,
  });
  const { data } = info;
  const meeting = useMemo<Meeting | undefined>(() => data && { name: data.room, title: data.title, callType: data.call_type, role: user ? "member" : "guest" }, [data, user]);
  if (info.isPending || state.status === "starting") return <Starting />;
  if (!data || !meeting) {
    return (
      <Gate title={t("invite.gone_title")} lead={t("invite.gone_text")}>
        <Notice tone="warn">{explain(t, info.error)}</Notice>
      </Gate>
    );
  }
  const lead = (
    <>
      {t("invite.from", { name: data.owner })} {data.scheduled_for && `${formatDay(data.scheduled_for)}, ${formatTime(data.scheduled_for)}. `}
      {data.live ? t("invite.live") : t("invite.not_live")} {data.waiting_room && t("invite.waiting_room")}
    </>
  );
  return <MeetingFlow meeting={meeting} lead={lead} invitation={token} guest={!user} />;
}
