import { useCallback, useRef, useState } from "react";
import { useDataChannel, useLocalParticipant } from "@livekit/components-react";

import { REACTION_TOPIC, readReaction } from "./signals.ts";

export type Reaction = { id: number; emoji: string; name: string; left: number };

const SHOWN_MS = 3_500;
/** A crowd's applause does not fill the screen, nor the memory. */
const MOST = 30;

export function useReactions(): { reactions: Reaction[]; react: (emoji: string) => void } {
  const [reactions, setReactions] = useState<Reaction[]>([]);
  const { localParticipant } = useLocalParticipant();
  const next = useRef(0);
  const show = useCallback((emoji: string, name: string) => {
    const id = (next.current += 1);
    setReactions((all) => [...all.slice(1 - MOST), { id, emoji, name, left: 12 + ((id * 37) % 70) }]);
    setTimeout(() => setReactions((all) => all.filter((reaction) => reaction.id !== id)), SHOWN_MS);
  }, []);
  const { send } = useDataChannel(REACTION_TOPIC, (message) => {
    const emoji = readReaction(message.payload);
    if (emoji) show(emoji, message.from?.name || message.from?.identity || "");
  });
  const react = useCallback((emoji: string) => {
    show(emoji, localParticipant.name || localParticipant.identity);
    void send(new TextEncoder().encode(emoji), { reliable: false }).catch(() => undefined);
  }, [send, show, localParticipant]);
  return { reactions, react };
}

export function ReactionLayer({ reactions }: { reactions: Reaction[] }) {
  return (
    <div className="reactions" role="log" aria-live="off">
      {reactions.map((reaction) => (
        <span key={reaction.id} className="reaction" style={{ left: `${reaction.left}%` }}>
          <span className="reaction-emoji">{reaction.emoji}</span>
          <span className="reaction-name">{reaction.name}</span>
        </span>
      ))}
    </div>
  );
}
