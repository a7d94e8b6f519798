import { useCallback, useEffect, useState, type ReactNode } from "react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { DisconnectReason } from "livekit-client";
import { Clock, Disc, DoorClosed, House, LogIn } from "lucide-react";

import { ApiError, client } from "../api/client.ts";
import type { Admission, CallType, Page, Recording, RoomRole, Waiting, WaitingState } from "../api/contract.ts";
import { pages, paths } from "../api/paths.ts";
import { Brand, LanguageChoice } from "../app/brand.tsx";
import { usePageTitle } from "../app/title.ts";
import { useConfig } from "../session/session.tsx";
import { Button, ButtonLink } from "../ui/controls.tsx";
import { useChoices } from "./devices.ts";
import { keepGuest, knownGuest } from "./guests.ts";
import { MeetingRoom } from "./meeting-room.tsx";
import { PreJoin } from "./prejoin.tsx";
import "../stage/stage.css";
import "./meeting.css";

export type Meeting = {
  name: string;
  title: string;
  callType: CallType;
  role: RoomRole;
  /** Whether the recording may be started and stopped: left out, moderators may. */
  records?: boolean;
};

/** What the page around a meeting hears of it. */
export type MeetingEvents = { onJoined?: (identity: string) => void; onLeft?: (reason: LeaveReason) => void; onRecording?: (active: boolean) => void };

export type LeaveReason = "left" | "removed" | "ended" | "elsewhere" | "denied" | "failed";

type Stage = { at: "before" } | { at: "waiting"; waiting: Waiting } | { at: "in"; admission: Admission } | { at: "after"; reason: LeaveReason };

const POLL_MS = 2_000;

/** Before, waiting, in, after: the way through a meeting, for members, guests and embedded pages alike. */
export function MeetingFlow({ meeting, lead, extra, invitation, guest, embedded, admission, events }: {
  meeting: Meeting;
  lead?: ReactNode;
  extra?: ReactNode;
  invitation?: string;
  /** Has no account: must give a name, and has no other page to go to. */
  guest: boolean;
  embedded?: boolean;
  /** Already let in, by an embedding application. */
  admission?: Admission;
  events?: MeetingEvents;
}) {
  const { t } = useTranslation();
  const config = useConfig();
  const [choices, change] = useChoices();
  const [stage, setStage] = useState<Stage>({ at: "before" });
  usePageTitle(meeting.title);

  const enter = useCallback((admitted: Admission) => {
    if (guest) client.borrow(admitted.token);
    setStage({ at: "in", admission: admitted });
  }, [guest]);
  const join = useMutation({
    mutationFn: async () => {
      if (admission) return admission;
      const body = { ...(guest && { name: choices.name.trim() }), ...(invitation && { invitation }), ...(guest && knownGuest(meeting.name)) };
      return client.post<Admission | Waiting>(paths.inRoom(meeting.name, "join"), body);
    },
    onSuccess: (answer) => {
      keepGuest(meeting.name, answer);
      if (answer.status === "waiting") setStage({ at: "waiting", waiting: answer });
      else enter(answer);
    },
  });
  const { onLeft } = events ?? {};
  const leave = useCallback((reason: LeaveReason) => {
    setStage((before) => (before.at === "after" ? before : { at: "after", reason }));
    onLeft?.(reason);
    if (!admission) void client.post(paths.inRoom(meeting.name, "leave")).catch(() => undefined).finally(() => guest && client.borrow(undefined));
  }, [onLeft, meeting.name, admission, guest]);
  const onDisconnected = useCallback((reason: DisconnectReason | undefined) => leave(leaveReason(reason)), [leave]);

  if (stage.at === "in") {
    return <MeetingRoom meeting={meeting} admission={stage.admission} serverUrl={stage.admission.url || config?.livekit_url || ""} choices={choices} change={change} guest={guest} embedded={embedded ?? false} {...(events && { events })} onDisconnected={onDisconnected} />;
  }
  return (
    <div className="meeting-page">
      {!embedded && <header className="row meeting-head"><Brand link={!guest} /><span className="push"><LanguageChoice /></span></header>}
      {stage.at === "before" && (
        <PreJoin
          title={meeting.title}
          lead={lead}
          callType={meeting.callType}
          needsName={guest && !admission}
          listener={meeting.role === "listener"}
          choices={choices}
          change={change}
          busy={join.isPending}
          error={join.error}
          action={t("prejoin.join")}
          extra={extra}
          onJoin={() => join.mutate()}
        />
      )}
      {stage.at === "waiting" && <WaitingRoom room={meeting.name} title={meeting.title} waiting={stage.waiting} onAdmitted={enter} onDenied={() => leave("denied")} onCancel={() => setStage({ at: "before" })} />}
      {stage.at === "after" && <After room={meeting.name} reason={stage.reason} guest={guest} embedded={embedded ?? false} onAgain={() => { join.reset(); setStage({ at: "before" }); }} />}
    </div>
  );
}

function leaveReason(reason: DisconnectReason | undefined): LeaveReason {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return "left";
    case DisconnectReason.PARTICIPANT_REMOVED:
      return "removed";
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return "ended";
    case DisconnectReason.DUPLICATE_IDENTITY:
      return "elsewhere";
    default:
      return "failed";
  }
}

/** Only the server's own addresses are asked, whatever an answer says. */
const ownPath = (path: string): string | undefined => (path.startsWith("/api/") ? path : undefined);

function WaitingRoom({ room, title, waiting, onAdmitted, onDenied, onCancel }: { room: string; title: string; waiting: Waiting; onAdmitted: (admission: Admission) => void; onDenied: () => void; onCancel: () => void }) {
  const { t } = useTranslation();
  useEffect(() => {
    const path = ownPath(waiting.poll);
    if (!path) return onDenied();
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      try {
        const state = await client.get<WaitingState>(path, undefined, stop.signal);
        if (state.status === "admitted" && state.token && state.identity) {
          return onAdmitted({ status: "admitted", token: state.token, identity: state.identity, url: state.url ?? "", room: state.room ?? room });
        }
        if (state.status === "denied") return onDenied();
      } catch (error) {
        if (stop.signal.aborted) return;
        // Gone: the meeting is over, or the request was too old.
        if (error instanceof ApiError && (error.status === 404 || error.status === 410)) return onDenied();
      }
      timer = setTimeout(() => void ask(), POLL_MS);
    };
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [room, waiting, onAdmitted, onDenied]);
  return (
    <main className="gate-card centred" id="content">
      <span className="pulse"><Clock size={34} aria-hidden /></span>
      <h1>{t("waiting.title")}</h1>
      <p className="soft" role="status">{t("waiting.text", { title })}</p>
      <Button onClick={onCancel}>{t("common.cancel")}</Button>
    </main>
  );
}

/** How long after leaving a recording is looked for. */
const LOOK_FOR_RECORDING = 15;

/** The newest recording of a room that was running a moment ago, once there is one. */
function useLeftRecording(room: string, wanted: boolean): Recording | undefined {
  const [leftAt] = useState(() => Date.now());
  const { data } = useQuery({
    queryKey: ["recordings", "left", room],
    queryFn: () => client.get<Page<Recording>>(paths.recordings, { room, limit: 1 }),
    enabled: wanted,
    retry: false,
    refetchInterval: (query) => (query.state.data?.items[0]?.state === "sealed" || query.state.dataUpdateCount > LOOK_FOR_RECORDING ? false : 2_000),
  });
  const newest = data?.items[0];
  const ended = newest?.ended_at ? Date.parse(newest.ended_at) : Infinity;
  return newest && newest.state !== "failed" && ended > leftAt - 60_000 ? newest : undefined;
}

function After({ room, reason, guest, embedded, onAgain }: { room: string; reason: LeaveReason; guest: boolean; embedded: boolean; onAgain: () => void }) {
  const { t } = useTranslation();
  const recording = useLeftRecording(room, !guest && !embedded && (reason === "left" || reason === "ended"));
  return (
    <main className="gate-card centred" id="content">
      <span className="after-icon"><DoorClosed size={34} aria-hidden /></span>
      <h1>{t(`after.${reason}`)}</h1>
      {reason === "failed" && <p className="soft">{t("after.failed_text")}</p>}
      {recording && <p className="soft">{recording.state === "sealed" ? t("after.recording_ready") : t("after.recording_soon")}</p>}
      <div className="row wrap centred-row">
        {reason !== "ended" && reason !== "denied" && reason !== "removed" && <Button look="primary" onClick={onAgain}><LogIn size={18} />{t("after.again")}</Button>}
        {recording && <ButtonLink to={pages.recording(recording.id)}><Disc size={18} />{t("recordings.watch")}</ButtonLink>}
        {!guest && !embedded && <ButtonLink to="/"><House size={18} />{t("after.home")}</ButtonLink>}
      </div>
    </main>
  );
}
