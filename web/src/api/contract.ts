/**
 * What the server says and is told, by the names the pages use: aliases onto `schema.ts`, which is generated from the
 * API's document. Times are RFC 3339 in UTC unless the name has a unit; `_ms` counts milliseconds from a recording's
 * second 0.
 */
import type { components } from "./schema.ts";

type Schemas = components["schemas"];

export type Page<T> = { items: T[]; next_cursor?: string | null };

/** A problem as it comes: from a proxy, for instance, it may lack anything. */
export type Problem = Partial<Schemas["Problem"]>;
export type FieldError = Schemas["FieldError"];
export type Config = Schemas["Config"];

// --- people ---------------------------------------------------------------------------------------------------------

export type UserRole = Schemas["UserRole"];
export type User = Schemas["UserView"];
export type Session = Schemas["LogIn"];
export type UserInvitation = Schemas["UserInvitationView"];
export type ApiKey = Schemas["ApiKeyView"];
export type Contact = Schemas["ContactView"];

// --- rooms ----------------------------------------------------------------------------------------------------------

export type CallType = Schemas["CallType"];
export type MemberRole = Schemas["RoomRole"];
/** Guests have no place in a room's list; the pages speak of them as of a role. */
export type RoomRole = MemberRole | "guest";
export type RecordingRule = Schemas["RecordingRule"];
export type RoomOptions = Schemas["RoomOptionsView"];
export type RoomParticipant = Schemas["PresentView"];
export type Room = Schemas["RoomView"];
export type RoomMember = Schemas["MemberView"];
export type NewRoom = Schemas["CreateRoom"];
export type RoomChange = Schemas["ChangeRoom"];
export type Admission = Schemas["AdmissionView"];
export type Waiting = Schemas["WaitingAnswer"];
export type WaitingState = Schemas["PollView"];
export type WaitingPerson = Schemas["WaitingView"];
export type RemovedPerson = Schemas["RemovedView"];
export type Invitation = Schemas["InvitationView"];
export type NewInvitation = Schemas["CreateInvitation"];
export type InvitationInfo = Schemas["InvitationInfo"];
export type CallParticipant = Schemas["CallParticipantView"];
export type CallQuality = Schemas["QualityView"];
export type Call = Schemas["CallView"];
export type DayStatistics = Schemas["DayView"];
export type Statistics = Schemas["StatisticsView"];
export type Notification = Schemas["NotificationView"];
/** One reading of a client's own counters, for one track. */
export type QualitySample = Schemas["Sample"];

// --- recordings -----------------------------------------------------------------------------------------------------

export type RecordingState = Schemas["RecordingState"];
export type Recording = Schemas["RecordingView"];
export type RenderState = Schemas["RenderState"];
export type Render = Schemas["RenderView"];
export type LayoutKind = Schemas["LayoutKind"];
export type RenderRequest = Schemas["RenderRequest"];
export type RecordingFile = Schemas["PartView"];
export type Interval = Schemas["Interval"];
export type TimelineParticipant = Schemas["Person"];
export type TimelineMedia = Schemas["Media"];
export type TimelineEvent = Schemas["TimelineEvent"];
export type TimelineChat = Schemas["TimelineChat"];
export type Timeline = Schemas["Timeline"];

// --- administration -------------------------------------------------------------------------------------------------

export type AdminOverview = Schemas["OverviewView"];
export type AdminRoom = Schemas["LiveRoomView"];
export type JobState = Schemas["JobState"];
export type Job = Schemas["JobView"];
export type StorageUse = Schemas["StorageView"];
export type AuditEntry = Schemas["AuditView"];
export type Settings = Schemas["SettingsView"];
export type LoadTestState = Schemas["LoadTestState"];
export type NewLoadTest = Schemas["StartLoadTest"];
/** The document leaves open what a scenario and a summary hold: this is what the pages read of them. */
export type LoadTest = Omit<Schemas["LoadTestView"], "scenario" | "summary"> & {
  /** As the scenario's YAML has it. */
  scenario: { name?: string; description?: string; rooms?: unknown; duration?: unknown };
  summary?: {
    verdict?: { outcome: string; sentence: string; tester_behind?: string[]; cut_short?: string | null };
    thresholds?: { name: string; limit: string; value?: string | null; passed: boolean }[];
    /** Of a search for the limit: rooms of the last step that held and the first that did not. */
    limit?: { held?: number | null; failed?: number | null; steps: LoadStep[] };
  } | null;
};
/** Milliseconds; `null` if nothing was measured. */
export type LoadLatency = { p50: number | null; p95: number | null };
/** What happened in one second of a load test. */
export type LoadTick = {
  second: number;
  seconds: number;
  participants: number;
  /** Since the start. */
  joins: number;
  tracks: number;
  received: number;
  lost: number;
  bytes: number;
  sent: number;
  freezes: number;
  audio_latency: LoadLatency;
  video_latency: LoadLatency;
  /** How the tester itself was. */
  tester: { cpu_percent: number; rss_mebibytes: number; socket_drops: number; send_lag_ms: number; loop_lag_ms: number; machine_percent: number };
};
/** A step of a search for the limit. */
export type LoadStep = { rooms: number; participants: number; tracks: number; held: boolean; sentence: string };
