import { useState } from "react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useParticipantAttributes, useParticipants } from "@livekit/components-react";
import type { Participant } from "livekit-client";
import { useTranslation } from "react-i18next";
import { Check, Ellipsis, Hand, Lock, LockOpen, MicOff, Pin, UserMinus, UserRoundCheck, UserRoundX, X } from "lucide-react";

import { client } from "../api/client.ts";
import type { Page, WaitingPerson } from "../api/contract.ts";
import { paths } from "../api/paths.ts";
import { useRoom } from "../api/queries.ts";
import { Button, IconButton } from "../ui/controls.tsx";
import { Avatar, Menu, MenuItem, useToasts } from "../ui/surfaces.tsx";
import { InviteButton } from "../rooms/invitations.tsx";
import { Removed } from "../rooms/removed.tsx";
import { PanelHead } from "./chat.tsx";
import { HAND } from "./signals.ts";
import { MutedMark, Quality } from "./stage.tsx";

export function useWaitingPeople(room: string, enabled: boolean): WaitingPerson[] {
  const { data } = useQuery({
    queryKey: ["waiting", room],
    queryFn: () => client.get<Page<WaitingPerson>>(paths.inRoom(room, "waiting")),
    enabled,
    // Events say it at once; this is for when they are missed.
    refetchInterval: 10_000,
    retry: false,
  });
  // Whoever moderates no more is shown nothing of what they saw.
  return enabled ? data?.items ?? [] : [];
}

export function PeoplePanel({ room, moderator, invites, waiting, pinned, onPin, onClose }: { room: string; moderator: boolean; invites: boolean; waiting: WaitingPerson[]; pinned: string | undefined; onPin: (id: string | undefined) => void; onClose: () => void }) {
  const { t } = useTranslation();
  const participants = useParticipants();
  const sorted = [...participants].sort((a, b) => Number(b.isLocal) - Number(a.isLocal) || nameOf(a).localeCompare(nameOf(b)));
  return (
    <aside className="panel" aria-label={t("room.people")}>
      <PanelHead title={t("room.people_count", { count: participants.length })} onClose={onClose} />
      <div className="panel-body" tabIndex={0}>
        {moderator && <ModeratorTools room={room} invites={invites} />}
        {moderator && waiting.length > 0 && <WaitingList room={room} waiting={waiting} />}
        <ul className="people">
          {sorted.map((participant) => <Person key={participant.identity} {...{ participant, room, moderator }} pinned={pinned === `${participant.identity}/camera`} onPin={onPin} />)}
        </ul>
        {moderator && <Removed room={room} />}
      </div>
    </aside>
  );
}

const nameOf = (participant: Participant) => participant.name || participant.identity;

function useAct(room: string) {
  const queries = useQueryClient();
  const { complain } = useToasts();
  return useMutation({
    mutationFn: (path: string) => client.post(path),
    onSettled: () => {
      void queries.invalidateQueries({ queryKey: ["waiting", room] });
      void queries.invalidateQueries({ queryKey: ["removed", room] });
      void queries.invalidateQueries({ queryKey: ["room", room] });
    },
    onError: complain,
  });
}

function ModeratorTools({ room, invites }: { room: string; invites: boolean }) {
  const { t } = useTranslation();
  const { data } = useRoom(room);
  const act = useAct(room);
  const locked = data?.options.locked ?? false;
  return (
    <div className="panel-tools">
      {invites && <InviteButton room={room} />}
      <Button size="small" onClick={() => act.mutate(paths.inRoom(room, locked ? "unlock" : "lock"))}>{locked ? <LockOpen size={16} /> : <Lock size={16} />}{locked ? t("room.unlock") : t("room.lock")}</Button>
      <Button size="small" onClick={() => act.mutate(paths.inRoom(room, "lower-hands"))}><Hand size={16} />{t("room.lower_all")}</Button>
    </div>
  );
}

function WaitingList({ room, waiting }: { room: string; waiting: WaitingPerson[] }) {
  const { t } = useTranslation();
  const act = useAct(room);
  return (
    <section className="waiting-list" aria-label={t("room.waiting")}>
      <div className="row">
        <h3 className="grow">{t("room.waiting_count", { count: waiting.length })}</h3>
        {waiting.length > 1 && <Button size="small" look="primary" onClick={() => act.mutate(paths.inRoom(room, "waiting/admit-all"))}>{t("room.admit_all")}</Button>}
      </div>
      <ul>
        {waiting.map((person) => (
          <li key={person.id} className="row">
            <Avatar name={person.name} id={person.id} size={32} />
            <span className="grow truncate">{person.name}</span>
            <IconButton size="small" look="primary" label={t("room.admit", { name: person.name })} onClick={() => act.mutate(paths.waiting(room, person.id, "admit"))}><Check size={17} /></IconButton>
            <IconButton size="small" label={t("room.deny", { name: person.name })} onClick={() => act.mutate(paths.waiting(room, person.id, "deny"))}><X size={17} /></IconButton>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Person({ participant, room, moderator, pinned, onPin }: { participant: Participant; room: string; moderator: boolean; pinned: boolean; onPin: (id: string | undefined) => void }) {
  const { t } = useTranslation();
  const { attributes } = useParticipantAttributes({ participant });
  const act = useAct(room);
  const [removing, setRemoving] = useState(false);
  const name = nameOf(participant);
  const hand = Boolean(attributes?.[HAND]);
  const speaker = participant.permissions?.canPublish ?? true;
  const verb = (word: string) => act.mutate(paths.participant(room, participant.identity, word));
  return (
    <li className="person">
      <Avatar name={name} id={participant.identity} size={34} />
      <span className="grow">
        <span className="truncate person-name">{participant.isLocal ? t("room.you", { name }) : name}</span>
        {!speaker && <span className="soft small">{t("room.listens")}</span>}
      </span>
      {hand && <Hand size={17} className="hand-mark" role="img" aria-label={t("room.hand_is_up")} />}
      <MutedMark participant={participant} />
      <Quality participant={participant} />
      <Menu button={(open) => <IconButton {...open} size="small" label={t("room.actions_for", { name })}><Ellipsis size={17} /></IconButton>}>
        {(close) => (
          <>
            <MenuItem icon={<Pin size={17} />} onSelect={() => { onPin(pinned ? undefined : `${participant.identity}/camera`); close(); }}>{pinned ? t("room.unpin", { name }) : t("room.pin", { name })}</MenuItem>
            {moderator && !participant.isLocal && (
              <>
                <MenuItem icon={<MicOff size={17} />} disabled={!participant.isMicrophoneEnabled} onSelect={() => { verb("mute"); close(); }}>{t("room.mute_other")}</MenuItem>
                <MenuItem icon={<Hand size={17} />} disabled={!hand} onSelect={() => { verb("lower-hand"); close(); }}>{t("room.lower_hand")}</MenuItem>
                {speaker
                  ? <MenuItem icon={<UserRoundX size={17} />} onSelect={() => { verb("demote"); close(); }}>{t("room.demote")}</MenuItem>
                  : <MenuItem icon={<UserRoundCheck size={17} />} onSelect={() => { verb("promote"); close(); }}>{t("room.promote")}</MenuItem>}
                <hr />
                {removing
                  ? <MenuItem danger icon={<UserMinus size={17} />} onSelect={() => { verb("remove"); close(); setRemoving(false); }}>{t("room.remove_sure")}</MenuItem>
                  : <MenuItem danger icon={<UserMinus size={17} />} onSelect={() => setRemoving(true)}>{t("room.remove")}</MenuItem>}
              </>
            )}
          </>
        )}
      </Menu>
    </li>
  );
}

