import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";

import { client } from "../api/client.ts";
import type { NewRoom, Room } from "../api/contract.ts";
import { pages, paths } from "../api/paths.ts";
import { RoomForm } from "../rooms/room-form.tsx";
import { Dialog, useToasts } from "../ui/surfaces.tsx";

export function NewMeeting({ scheduled, onClose }: { scheduled: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { say } = useToasts();
  const create = useMutation({
    mutationFn: (room: NewRoom) => client.create<Room>(paths.rooms, room),
    onSuccess: (room) => {
      void queries.invalidateQueries({ queryKey: ["rooms"] });
      if (!scheduled) return void navigate(pages.room(room.name));
      say(t("meeting.planned"));
      onClose();
    },
  });
  return (
    <Dialog title={scheduled ? t("meeting.plan") : t("meeting.new")} onClose={onClose}>
      <RoomForm scheduled={scheduled} error={create.error} busy={create.isPending} action={scheduled ? t("meeting.plan_submit") : t("meeting.start")} onSubmit={create.mutate} onCancel={onClose} />
    </Dialog>
  );
}
