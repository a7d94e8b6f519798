import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";
import { ArrowLeft, LogIn, Trash } from "lucide-react";

import { client } from "../api/client.ts";
import type { Room, RoomChange } from "../api/contract.ts";
import { pages, paths } from "../api/paths.ts";
import { useRoom } from "../api/queries.ts";
import { PageHead } from "../app/shell.tsx";
import { formatDay, formatLength, formatTime } from "../i18n/format.ts";
import { useSession } from "../session/session.tsx";
import { Button, ButtonLink } from "../ui/controls.tsx";
import { Confirm, Fault, Notice, Placeholder, useToasts } from "../ui/surfaces.tsx";
import { Invitations } from "./invitations.tsx";
import { mayChange, mayModerate } from "./may.ts";
import { Members } from "./members.tsx";
import { Present } from "./present.tsx";
import { RoomForm, type RoomDraft } from "./room-form.tsx";

/** `/rooms/<room>`: everything about a meeting but the meeting itself. */
export default function RoomDetailsPage() {
  const { t } = useTranslation();
  const { user } = useSession();
  const { room: name = "" } = useParams();
  const room = useRoom(name);
  if (room.isPending) return <Placeholder lines={6} />;
  if (!room.data) return <div className="stack"><Fault error={room.error} onRetry={() => void room.refetch()} /><div><ButtonLink to="/"><ArrowLeft size={17} />{t("after.home")}</ButtonLink></div></div>;
  const { data } = room;
  const ended = data.state === "ended";
  const changes = mayChange(user, data) && !ended;
  const when = data.scheduled_for && `${formatDay(data.scheduled_for)}, ${formatTime(data.scheduled_for)}${data.duration_minutes ? ` · ${formatLength(data.duration_minutes * 60_000)}` : ""}`;
  return (
    <>
      <Link to="/" className="small back-link"><ArrowLeft size={15} aria-hidden />{t("nav.dashboard")}</Link>
      <PageHead title={data.title} lead={[when, t("dashboard.owner", { name: data.owner.name })].filter(Boolean).join(" · ")}>
        {!ended && <ButtonLink look="primary" to={pages.room(data.name)}><LogIn size={17} />{t("dashboard.join")}</ButtonLink>}
      </PageHead>
      {ended && <Notice tone="warn">{t("problems.room_ended")}</Notice>}
      <div className="form-columns half-columns">
        {changes && (
          <div className="stack">
            <Change key={data.name} room={data} />
            <Remove room={data} />
          </div>
        )}
        <div className="stack">
          {data.state === "live" && <Present room={data} />}
          <Members room={data} />
          {mayModerate(user, data) && !ended && <section className="card stack"><h2>{t("invitations.title")}</h2><Invitations room={data.name} /></section>}
        </div>
      </div>
    </>
  );
}

/** Of all that the form shows, what it is. */
const versionOf = ({ title, call_type, scheduled_for, duration_minutes, options: { locked: _, ...options } }: Room) => JSON.stringify([title, call_type, scheduled_for, duration_minutes, options]);

function Change({ room }: { room: Room }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const { say } = useToasts();
  const save = useMutation({
    mutationFn: (draft: RoomDraft) => client.patch<Room>(paths.room(room.name), draft satisfies RoomChange),
    onSuccess: (saved) => {
      queries.setQueryData(["room", room.name], saved);
      void queries.invalidateQueries({ queryKey: ["rooms"] });
      say(t("common.saved"));
    },
  });
  // What others change shows, until somebody begins to write here.
  const touched = useRef(false);
  const saved = versionOf(room);
  const [shown, setShown] = useState(saved);
  if (shown !== saved && !touched.current) setShown(saved);
  const touch = () => { touched.current = true; };
  return (
    <section className="card stack" onInput={touch} onClick={touch}>
      <h2>{t("rooms.change")}</h2>
      <RoomForm key={shown} room={room} scheduled={Boolean(room.scheduled_for)} error={save.error} busy={save.isPending} action={t("common.save")} onSubmit={save.mutate} />
    </section>
  );
}

function Remove({ room }: { room: Room }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { say, complain } = useToasts();
  const [asking, setAsking] = useState(false);
  const remove = useMutation({
    mutationFn: () => client.delete(paths.room(room.name)),
    onSuccess: () => {
      say(t("dashboard.deleted"));
      void queries.invalidateQueries({ queryKey: ["rooms"] });
      void navigate("/", { replace: true });
    },
    onError: complain,
  });
  return (
    <section className="card stack comes-last">
      <h2>{t("rooms.remove")}</h2>
      <p className="soft">{t("dashboard.delete_text", { title: room.title })}</p>
      <div><Button look="danger" onClick={() => setAsking(true)}><Trash size={17} />{t("common.delete")}</Button></div>
      {asking && <Confirm title={t("dashboard.delete_title")} text={t("dashboard.delete_text", { title: room.title })} action={t("common.delete")} busy={remove.isPending} onConfirm={() => remove.mutate()} onClose={() => setAsking(false)} />}
    </section>
  );
}
