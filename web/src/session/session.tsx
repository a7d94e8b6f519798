import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { useQuery, useQueryClient } from "@tanstack/react-query";

import { client } from "../api/client.ts";
import type { Config, Session, User } from "../api/contract.ts";
import { chooseLanguage, hasChosenLanguage, LANGUAGES, type Language } from "../i18n/index.ts";

type State = { status: "starting" } | { status: "nobody" } | { status: "unreachable" } | { status: "somebody"; user: User };

type SessionContext = {
  state: State;
  user: User | undefined;
  begin: (session: Session) => void;
  update: (user: User) => void;
  end: (everywhere?: boolean) => Promise<void>;
  retry: () => void;
};

/** How long after the server did not answer it is asked again. */
const RETRY_MS = 3_000;

const Context = createContext<SessionContext | undefined>(undefined);

export function useSession(): SessionContext {
  const context = useContext(Context);
  if (!context) throw new Error("useSession outside of SessionProvider");
  return context;
}

/** Who uses the pages: taken up from the refresh cookie when they open. */
export function SessionProvider({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const [state, setState] = useState<State>({ status: "starting" });
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let current = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    client.onSignedOut(() => setState({ status: "nobody" }));
    client.refresh().then(
      (session) => {
        if (!current) return;
        const language = LANGUAGES.find((known) => known === session?.user.language);
        if (language && !hasChosenLanguage()) chooseLanguage(language);
        setState(session ? { status: "somebody", user: session.user } : { status: "nobody" });
      },
      () => {
        if (!current) return;
        setState({ status: "unreachable" });
        // A server that is being started again is back in a moment: nobody should have to ask for it.
        timer = setTimeout(() => setAttempt((count) => count + 1), RETRY_MS);
      },
    );
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [attempt]);

  const begin = useCallback((session: Session) => {
    queries.clear();
    client.adopt(session);
    const language = LANGUAGES.find((known) => known === session.user.language);
    if (language) chooseLanguage(language as Language);
    setState({ status: "somebody", user: session.user });
  }, [queries]);

  const end = useCallback(async (everywhere = false) => {
    // Whatever the server says, nothing stays here.
    await client.post(everywhere ? "/api/auth/logout-all" : "/api/auth/logout").catch(() => undefined);
    client.forget();
    queries.clear();
    setState({ status: "nobody" });
  }, [queries]);

  const value = useMemo<SessionContext>(() => ({
    state,
    user: state.status === "somebody" ? state.user : undefined,
    begin,
    update: (user) => setState({ status: "somebody", user }),
    end,
    retry: () => {
      setState({ status: "starting" });
      setAttempt((count) => count + 1);
    },
  }), [state, begin, end]);
  return <Context value={value}>{children}</Context>;
}

/** What the server is and allows; the same for all, and asked once. */
export function useConfig(): Config | undefined {
  return useQuery({ queryKey: ["config"], queryFn: () => client.request<Config>("GET", "/api/config", { anonymous: true }), staleTime: Infinity }).data;
}
