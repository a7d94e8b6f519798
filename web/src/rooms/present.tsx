import { useTranslation } from "react-i18next";

import type { Room } from "../api/contract.ts";
import { formatTime } from "../i18n/format.ts";
import { useSession } from "../session/session.tsx";
import { Avatar } from "../ui/surfaces.tsx";
import { mayModerate } from "./may.ts";
import { Removed } from "./removed.tsx";

/** Who is in the meeting that goes on, and who was put out of it. */
export function Present({ room }: { room: Room }) {
  const { t } = useTranslation();
  const { user } = useSession();
  return (
    <section className="card stack comes-first">
      <h2>{t("rooms.here")}</h2>
      {room.participants_now.length === 0 && <p className="soft">{t("prejoin.nobody")}</p>}
      {room.participants_now.length > 0 && (
        <ul className="list plain-list" aria-label={t("rooms.here")}>
          {room.participants_now.map((person) => (
            <li key={person.identity}>
              <Avatar name={person.name || person.identity} id={person.identity} size={32} />
              <span className="grow truncate">{person.name || person.identity}</span>
              <span className="soft small">{t("rooms.since", { time: formatTime(person.joined_at) })}</span>
            </li>
          ))}
        </ul>
      )}
      {room.participants_now_from === "last_told" && <p className="soft small">{t("rooms.last_told")}</p>}
      {mayModerate(user, room) && <Removed room={room.name} />}
    </section>
  );
}
