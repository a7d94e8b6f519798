import { useEffect, useMemo, useState } from "react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useParams } from "react-router";

import { client } from "../api/client.ts";
import type { Admission, InvitationInfo } from "../api/contract.ts";
import { paths } from "../api/paths.ts";
import { useRoom } from "../api/queries.ts";
import { Starting } from "../app/shell.tsx";
import { explain } from "../i18n/problems.ts";
import { MeetingFlow, type Meeting, type MeetingEvents } from "../meeting/flow.tsx";
import { useConfig, useSession } from "../session/session.tsx";
import { Notice } from "../ui/surfaces.tsx";
import { parentOrigin, readCredentials, teller } from "./messages.ts";

/** `/embed/<room>`: a meeting inside another application's page. */
export default function EmbedPage() {
  const { room: name = "" } = useParams();
  const { t } = useTranslation();
  const config = useConfig();
  const { state, user } = useSession();
  const [credentials] = useState(() => readCredentials(window.location.hash));
  const [borrowed, setBorrowed] = useState(false);
  useEffect(() => {
    if (credentials.kind !== "bearer") return;
    client.borrow(credentials.token);
    setBorrowed(true);
    return () => client.borrow(undefined);
  }, [credentials]);

  const asMember = credentials.kind === "none" || credentials.kind === "bearer";
  const room = useRoom(name, asMember && (credentials.kind === "bearer" ? borrowed : Boolean(user)));
  const invitation = useQuery({
    queryKey: ["invitation", "embed", name],
    queryFn: () => client.request<InvitationInfo>("GET", paths.invitation(credentials.kind === "invitation" ? credentials.token : ""), { anonymous: true }),
    enabled: credentials.kind === "invitation",
    retry: false,
  });

  const meeting = useMemo<Meeting | undefined>(() => {
    if (credentials.kind === "livekit") return { name, title: name, callType: "video", role: credentials.moderator ? "moderator" : "member", records: credentials.records };
    if (credentials.kind === "invitation") return invitation.data && { name: invitation.data.room, title: invitation.data.title, callType: invitation.data.call_type, role: "guest" };
    return room.data && { name: room.data.name, title: room.data.title, callType: room.data.call_type, role: room.data.role ?? "member" };
  }, [credentials, invitation.data, room.data, name]);
  const admission = useMemo<Admission | undefined>(() => {
    if (credentials.kind !== "livekit") return undefined;
    return { status: "admitted", token: credentials.token, url: config?.livekit_url ?? "", identity: credentials.identity, room: name };
  }, [credentials, config, name]);
  const events = useMemo<MeetingEvents>(() => {
    const ancestors = window.location.ancestorOrigins ? [...window.location.ancestorOrigins] : undefined;
    const origin = parentOrigin(config?.embed_origins ?? [], window.location.origin, ancestors, document.referrer);
    const tell = teller(name, origin, window.parent === window ? undefined : window.parent);
    return {
      onJoined: (identity) => tell({ type: "joined", identity }),
      onLeft: (reason) => tell({ type: "left", reason }),
      onRecording: (active) => tell({ type: "recording", active }),
    };
  }, [config, name]);

  const error = room.error ?? invitation.error;
  const nobody = credentials.kind === "none" && (state.status === "nobody" || state.status === "unreachable");
  if (error || nobody) return <main className="gate"><div className="gate-card"><Notice tone="warn">{error ? explain(t, error) : t("embed.no_token")}</Notice></div></main>;
  if (!config || !meeting) return <Starting />;
  return (
    <MeetingFlow
      meeting={meeting}
      guest={credentials.kind === "invitation" || credentials.kind === "livekit"}
      embedded
      events={events}
      {...(admission && { admission })}
      {...(credentials.kind === "invitation" && { invitation: credentials.token })}
    />
  );
}
