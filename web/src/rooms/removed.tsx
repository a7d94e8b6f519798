import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Undo2 } from "lucide-react";

import { client } from "../api/client.ts";
import type { Page, RemovedPerson } from "../api/contract.ts";
import { paths } from "../api/paths.ts";
import { formatRelative } from "../i18n/format.ts";
import { Button } from "../ui/controls.tsx";
import { Avatar, useToasts } from "../ui/surfaces.tsx";

/** Who was put out of the call that goes on, and can be let back in; nothing where there is nobody. */
export function Removed({ room }: { room: string }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const { say, complain } = useToasts();
  const key = ["removed", room];
  const { data } = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => client.get<Page<RemovedPerson>>(paths.inRoom(room, "removed"), undefined, signal),
    // Events say it too, unless their line is down.
    refetchInterval: 15_000,
    retry: false,
  });
  const back = useMutation({
    mutationFn: (person: RemovedPerson) => client.delete(paths.removed(room, person.identity)),
    onSuccess: (_, person) => say(t("rooms.let_back_done", { name: nameOf(person) })),
    onError: complain,
    onSettled: () => void queries.invalidateQueries({ queryKey: key }),
  });
  if (!data || data.items.length === 0) return null;
  return (
    <section className="removed" aria-label={t("rooms.removed")}>
      <h3>{t("rooms.removed")}</h3>
      <ul className="list plain-list">
        {data.items.map((person) => (
          <li key={person.identity}>
            <Avatar name={nameOf(person)} id={person.identity} size={32} />
            <span className="grow">
              <span className="truncate block">{nameOf(person)}</span>
              <span className="soft small block">{formatRelative(person.removed_at)}</span>
            </span>
            <Button size="small" busy={back.isPending && back.variables.identity === person.identity} aria-label={t("rooms.let_back_name", { name: nameOf(person) })} onClick={() => back.mutate(person)}><Undo2 size={16} />{t("rooms.let_back")}</Button>
          </li>
        ))}
      </ul>
    </section>
  );
}

const nameOf = (person: RemovedPerson) => person.name || person.identity;
