import { useEffect, useMemo, useRef, useState, type FormEvent, type KeyboardEvent } from "react";
import { useChat } from "@livekit/components-react";
import type { Room } from "livekit-client";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { MessageSquare, SendHorizontal, X } from "lucide-react";

import { client } from "../api/client.ts";
import type { Page } from "../api/contract.ts";
import { paths } from "../api/paths.ts";
import { formatTime } from "../i18n/format.ts";
import { IconButton } from "../ui/controls.tsx";
import { Avatar, Empty, useToasts } from "../ui/surfaces.tsx";
import { linkParts } from "./links.ts";

type Message = { id: string; at: number; identity: string; name: string; text: string; own: boolean };
type StoredMessage = { id?: string; at: string; identity: string; name?: string | null; text: string };

export type MeetingChat = { messages: Message[]; send: (text: string) => Promise<void>; sending: boolean; unread: number };

/** What is said now, after what was said in this call before one came in. */
export function useMeetingChat(room: Room, name: string, open: boolean): MeetingChat {
  const { complain } = useToasts();
  const { chatMessages, send, isSending } = useChat();
  const [cameIn] = useState(() => Date.now());
  const earlier = useQuery({
    queryKey: ["chat", name, cameIn],
    queryFn: () => client.get<Page<StoredMessage>>(paths.inRoom(name, "chat")),
    retry: false,
    staleTime: Infinity,
  });
  const messages = useMemo<Message[]>(() => {
    const before = (earlier.data?.items ?? [])
      .filter((message) => new Date(message.at).getTime() < cameIn)
      .map((message, index) => ({ id: message.id ?? `before-${index}`, at: new Date(message.at).getTime(), identity: message.identity, name: message.name || message.identity, text: message.text, own: message.identity === room.localParticipant.identity }));
    const now = chatMessages.map((message) => ({ id: message.id, at: message.timestamp, identity: message.from?.identity ?? "", name: message.from?.name || message.from?.identity || "", text: message.message, own: message.from?.isLocal ?? false }));
    return [...before, ...now];
  }, [earlier.data, chatMessages, cameIn, room]);

  const [seen, setSeen] = useState(0);
  const foreign = chatMessages.filter((message) => !message.from?.isLocal).length;
  useEffect(() => {
    if (open) setSeen(foreign);
  }, [open, foreign]);
  return {
    messages,
    // LiveKit hands it to those who are here; the server keeps it for those who come later.
    send: (text) => send(text).then(({ id }) => {
      client.post(paths.inRoom(name, "chat"), { id, text }).catch(() => undefined);
    }, complain),
    sending: isSending,
    unread: open ? 0 : foreign - seen,
  };
}

const LONGEST = 2_000;

export function ChatPanel({ chat, onClose }: { chat: MeetingChat; onClose: () => void }) {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [chat.messages.length]);
  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    const message = text.trim();
    if (!message || chat.sending) return;
    setText("");
    void chat.send(message);
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    submit();
  };
  return (
    <aside className="panel" aria-label={t("room.chat")}>
      <PanelHead title={t("room.chat")} onClose={onClose} />
      <div className="panel-body chat-log" role="log" aria-live="polite" tabIndex={0}>
        {chat.messages.length === 0 && <Empty icon={<MessageSquare size={28} />} title={t("room.chat_none")}>{t("room.chat_hint")}</Empty>}
        {chat.messages.map((message, index) => {
          const previous = chat.messages[index - 1];
          const follows = previous?.identity === message.identity && message.at - previous.at < 120_000;
          return (
            <div key={message.id} className={follows ? "chat-line follows" : "chat-line"}>
              {!follows && (
                <div className="chat-who">
                  <Avatar name={message.name} id={message.identity} size={24} />
                  <strong className="truncate">{message.own ? t("room.me") : message.name}</strong>
                  <time className="soft small">{formatTime(new Date(message.at))}</time>
                </div>
              )}
              <p>{linkParts(message.text).map((part, at) => (part.href ? <a key={at} href={part.href} target="_blank" rel="noopener noreferrer nofollow">{part.text}</a> : part.text))}</p>
            </div>
          );
        })}
        <div ref={end} />
      </div>
      <form className="chat-form" onSubmit={submit}>
        <textarea className="input" rows={1} maxLength={LONGEST} aria-label={t("room.chat_write")} placeholder={t("room.chat_write")} value={text} onChange={(event) => setText(event.target.value)} onKeyDown={keys} />
        <IconButton label={t("room.chat_send")} type="submit" look="primary" disabled={!text.trim()}><SendHorizontal size={18} /></IconButton>
      </form>
    </aside>
  );
}

export function PanelHead({ title, onClose }: { title: string; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <div className="panel-head">
      <h2 className="grow">{title}</h2>
      <IconButton label={t("common.close")} onClick={onClose}><X size={20} /></IconButton>
    </div>
  );
}
