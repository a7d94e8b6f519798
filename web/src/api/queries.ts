import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { client, type Query } from "./client.ts";
import type { Call, Contact, Notification, Page, Recording, Room, Statistics } from "./contract.ts";
import { paths } from "./paths.ts";

/** What pages ask the server, each under the key that events make stale. */

export const useRooms = (state: "live" | "upcoming" | "ended" | undefined, q?: string) =>
  useQuery({ queryKey: ["rooms", state, q], queryFn: ({ signal }) => client.get<Page<Room>>(paths.rooms, { state, q, limit: 50 }, signal) });

export const useRoom = (name: string, enabled = true) =>
  useQuery({ queryKey: ["room", name], queryFn: ({ signal }) => client.get<Room>(paths.room(name), undefined, signal), enabled, retry: false });

export const useNotifications = () =>
  useQuery({ queryKey: ["notifications"], queryFn: ({ signal }) => client.get<Page<Notification>>("/api/notifications", { limit: 30 }, signal) });

export const useContacts = (q: string) =>
  useQuery({ queryKey: ["contacts", q], queryFn: ({ signal }) => client.get<Page<Contact>>("/api/contacts", { q, limit: 20 }, signal), placeholderData: (before) => before });

export const useStatistics = (from: string, to: string) =>
  useQuery({ queryKey: ["statistics", from, to], queryFn: ({ signal }) => client.get<Statistics>("/api/statistics", { from, to }, signal) });

/** A list that grows page by page. */
export function usePages<T>(key: unknown[], path: string, query: Query) {
  const result = useInfiniteQuery({
    queryKey: [...key, query],
    queryFn: ({ pageParam, signal }) => client.get<Page<T>>(path, { ...query, cursor: pageParam }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
  return { ...result, items: result.data?.pages.flatMap((page) => page.items) };
}

export const useCalls = (room?: string, limit = 30) => usePages<Call>(["calls"], "/api/calls", { room, limit });
export const useRecordings = (filter: { q?: string; state?: string; room?: string }) => usePages<Recording>(["recordings"], paths.recordings, { ...filter, limit: 30 });

/** The value once it has rested: what is typed is not asked for letter by letter. */
export function useRested<T>(value: T, ms = 250): T {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return rested;
}
