import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Bell } from "lucide-react";

import { client } from "../api/client.ts";
import type { Notification } from "../api/contract.ts";
import { pages } from "../api/paths.ts";
import { useNotifications } from "../api/queries.ts";
import { formatRelative } from "../i18n/format.ts";
import { en } from "../i18n/en.ts";
import { IconButton } from "../ui/controls.tsx";
import { Empty, Menu } from "../ui/surfaces.tsx";

export function NotificationBell() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const { data } = useNotifications();
  const unread = data?.items.filter((note) => !note.read).length ?? 0;
  const read = useMutation({
    mutationFn: () => client.post("/api/notifications/read"),
    onSuccess: () => void queries.invalidateQueries({ queryKey: ["notifications"] }),
  });
  return (
    <Menu button={(open) => (
      <IconButton
        {...open}
        onClick={() => { open.onClick(); if (unread > 0) read.mutate(); }}
        label={unread > 0 ? t("notifications.unread", { count: unread }) : t("notifications.title")}
        className="bell"
      >
        <Bell size={19} />
        {unread > 0 && <span className="bell-count" aria-hidden>{Math.min(unread, 99)}</span>}
      </IconButton>
    )}>
      {(close) => (
        <div className="notes">
          <div className="menu-title">{t("notifications.title")}</div>
          {(data?.items.length ?? 0) === 0 && <Empty title={t("notifications.none")} />}
          {data?.items.map((note) => (
            <Link key={note.id} role="menuitem" className="menu-item note" to={target(note)} onClick={close}>
              <span className="grow">
                <span>{textOf(t, note)}</span>
                <span className="soft small note-time">{formatRelative(note.created_at)}</span>
              </span>
            </Link>
          ))}
        </div>
      )}
    </Menu>
  );
}

function target(note: Notification): string {
  if (note.recording) return pages.recording(note.recording);
  return note.room ? pages.room(note.room) : "/";
}

type Known = keyof typeof en.notifications.kinds;

function textOf(t: ReturnType<typeof useTranslation>["t"], note: Notification): string {
  const kind = (Object.hasOwn(en.notifications.kinds, note.kind) ? note.kind : "other") as Known;
  return t(`notifications.kinds.${kind}`, { title: note.title ?? note.room ?? "", name: note.by ?? "" });
}
