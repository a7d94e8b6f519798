import { useState } from "react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { client } from "../api/client.ts";
import type { Room } from "../api/contract.ts";
import { paths } from "../api/paths.ts";
import { ContactPicker, type Chosen } from "../dashboard/contact-picker.tsx";
import { Button } from "../ui/controls.tsx";
import { useFaults } from "../ui/form.tsx";
import { useToasts } from "../ui/surfaces.tsx";

/** Chooses people from the contacts and makes them members; they are told by the server. */
export function AskIn({ room }: { room: Room }) {
  const { t } = useTranslation();
  const { say } = useToasts();
  const queries = useQueryClient();
  const [people, setPeople] = useState<Chosen[]>([]);
  const ask = useMutation({
    mutationFn: () => {
      const members = (room.members ?? []).filter((member) => member.role !== "owner").map((member) => member.user.id);
      return client.patch<Room>(paths.room(room.name), { participants: [...new Set([...members, ...people.map((person) => person.key)])] });
    },
    onSuccess: (changed) => {
      say(t("prejoin.asked", { count: people.length }));
      setPeople([]);
      queries.setQueryData(["room", room.name], changed);
    },
  });
  const faults = useFaults(ask.error, ["/participants"]);
  return (
    <div className="stack tight">
      {faults.notice}
      <ContactPicker label={t("rooms.add_people")} chosen={people} onChange={(chosen) => { ask.reset(); setPeople(chosen); }} fault={faults.at("/participants")} />
      {people.length > 0 && <div><Button busy={ask.isPending} onClick={() => ask.mutate()}>{t("prejoin.ask")}</Button></div>}
    </div>
  );
}
