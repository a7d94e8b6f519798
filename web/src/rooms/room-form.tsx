import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { Mic, Video } from "lucide-react";

import type { CallType, RecordingRule, Room, RoomOptions } from "../api/contract.ts";
import { ContactPicker, type Chosen } from "../dashboard/contact-picker.tsx";
import { useConfig, useSession } from "../session/session.tsx";
import { Button, Segmented, SelectField, Switch, TextField } from "../ui/controls.tsx";
import { useFaults } from "../ui/form.tsx";
import { localMinute, nextHalfHour } from "./times.ts";

const LENGTHS = [15, 30, 45, 60, 90, 120, 180, 240];

/** What somebody has chosen for a meeting, whether it is there already or not. */
export type RoomDraft = {
  title: string;
  call_type: CallType;
  /** Of a new one: whose an existing one is, is changed person by person. */
  participants?: string[];
  scheduled_for: string | null;
  duration_minutes: number | null;
  options: RoomOptions;
};

/** The one form of a meeting: for a new one, and for one that is changed. */
export function RoomForm({ room, scheduled, error, busy, action, onSubmit, onCancel }: {
  room?: Room;
  /** Asks for a time. */
  scheduled: boolean;
  error: unknown;
  busy: boolean;
  action: string;
  onSubmit: (draft: RoomDraft) => void;
  onCancel?: () => void;
}) {
  const { t } = useTranslation();
  const { user } = useSession();
  const usual = useConfig()?.features["waiting_room"] ?? false;
  const [callType, setCallType] = useState<CallType>(room?.call_type ?? "video");
  const [people, setPeople] = useState<Chosen[]>([]);
  const [recording, setRecording] = useState<RecordingRule>(room?.options.recording ?? "rules");
  const [waiting, setWaiting] = useState(room ? room.options.waiting_room ?? false : undefined);
  const [planned, setPlanned] = useState(scheduled);
  const [past, setPast] = useState(false);
  const faults = useFaults(error, ["/title", "/participants", "/scheduled_for", "/duration_minutes", "/options/max_participants"]);
  const minutes = room?.duration_minutes ?? 30;
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const most = Number(form.get("max"));
    const at = planned ? new Date(String(form.get("at"))) : undefined;
    // A meeting that has been planned keeps its time, even one that is past.
    const kept = at && room?.scheduled_for && localMinute(new Date(room.scheduled_for)) === form.get("at");
    const tooLate = at !== undefined && !kept && at.getTime() < Date.now();
    setPast(tooLate);
    if (tooLate) return;
    onSubmit({
      title: String(form.get("title")).trim() || t("meeting.default_title", { name: user?.name ?? "" }),
      call_type: callType,
      ...(!room && { participants: people.map((person) => person.key) }),
      scheduled_for: at ? at.toISOString() : null,
      duration_minutes: at ? Number(form.get("length")) : null,
      options: {
        // Left alone, it is what the installation has for new meetings.
        ...(waiting !== undefined && { waiting_room: waiting }),
        listeners_only: form.has("listeners"),
        recording,
        ...(most > 0 && { max_participants: most }),
      },
    });
  };
  const options = (
    <div className="stack">
      <Switch label={t("meeting.waiting_room")} hint={t("meeting.waiting_room_hint")} checked={waiting ?? usual} onChange={(event) => setWaiting(event.target.checked)} />
      <Switch name="listeners" label={t("meeting.listeners_only")} hint={t("meeting.listeners_only_hint")} defaultChecked={room?.options.listeners_only ?? false} />
      <SelectField label={t("meeting.recording")} value={recording} onChange={(event) => setRecording(event.target.value as RecordingRule)}>
        {(["rules", "auto", "manual", "never"] as const).map((rule) => <option key={rule} value={rule}>{t(`meeting.recording_${rule}`)}</option>)}
      </SelectField>
      <TextField label={t("meeting.max")} name="max" type="number" min={1} placeholder="100" defaultValue={room?.options.max_participants ?? ""} fault={faults.at("/options/max_participants")} />
    </div>
  );
  return (
    <form className="stack" onSubmit={submit}>
      {faults.notice}
      <TextField label={t("meeting.title")} name="title" maxLength={120} autoFocus={!room} defaultValue={room?.title ?? ""} placeholder={t("meeting.default_title", { name: user?.name ?? "" })} fault={faults.at("/title")} />
      <Segmented<CallType>
        label={t("meeting.type")}
        value={callType}
        onChange={setCallType}
        options={[{ value: "video", label: t("meeting.video"), icon: <Video size={16} /> }, { value: "audio", label: t("meeting.audio"), icon: <Mic size={16} /> }]}
      />
      {room && <Switch label={t("meeting.has_time")} checked={planned} onChange={(event) => setPlanned(event.target.checked)} />}
      {planned && (
        <div className="two-columns">
          <TextField label={t("meeting.at")} name="at" type="datetime-local" required defaultValue={room?.scheduled_for ? localMinute(new Date(room.scheduled_for)) : nextHalfHour(new Date())} onChange={() => setPast(false)} fault={past ? t("faults.past") : faults.at("/scheduled_for")} />
          <SelectField label={t("meeting.length")} name="length" defaultValue={String(minutes)} fault={faults.at("/duration_minutes")}>
            {[...new Set([...LENGTHS, minutes])].sort((a, b) => a - b).map((count) => <option key={count} value={count}>{t("meeting.minutes", { count })}</option>)}
          </SelectField>
        </div>
      )}
      {!room && <ContactPicker chosen={people} onChange={setPeople} fault={faults.at("/participants")} />}
      {room ? options : <details className="more"><summary>{t("meeting.options")}</summary>{options}</details>}
      <div className={onCancel ? "dialog-foot" : undefined}>
        {onCancel && <Button onClick={onCancel}>{t("common.cancel")}</Button>}
        <Button type="submit" look="primary" busy={busy}>{action}</Button>
      </div>
    </form>
  );
}
