/** Addresses on the server; names that people choose are escaped here and nowhere else. */
const e = encodeURIComponent;

export const paths = {
  rooms: "/api/livekit/rooms",
  room: (name: string) => `/api/livekit/rooms/${e(name)}`,
  inRoom: (name: string, verb: string) => `/api/livekit/rooms/${e(name)}/${verb}`,
  participant: (room: string, identity: string, verb: string) => `/api/livekit/rooms/${e(room)}/participants/${e(identity)}/${verb}`,
  member: (room: string, user: string) => `/api/livekit/rooms/${e(room)}/members/${e(user)}`,
  removed: (room: string, identity: string) => `/api/livekit/rooms/${e(room)}/removed/${e(identity)}`,
  waiting: (room: string, id: string, verb: string) => `/api/livekit/rooms/${e(room)}/waiting/${e(id)}/${verb}`,
  invitation: (token: string) => `/api/invitations/${e(token)}`,
  roomInvitation: (room: string, id: string) => `/api/livekit/rooms/${e(room)}/invitations/${e(id)}`,
  recordings: "/api/recordings",
  recording: (id: string) => `/api/recordings/${e(id)}`,
  ofRecording: (id: string, part: string) => `/api/recordings/${e(id)}/${part}`,
  render: (id: string) => `/api/renders/${e(id)}`,
  ofRender: (id: string, part: string) => `/api/renders/${e(id)}/${part}`,
  user: (id: string) => `/api/users/${e(id)}`,
  key: (id: string) => `/api/keys/${e(id)}`,
  loadTest: (id: string) => `/api/loadtests/${e(id)}`,
  ofLoadTest: (id: string, part: string) => `/api/loadtests/${e(id)}/${part}`,
};

/** The pages' own addresses. */
export const pages = {
  room: (name: string) => `/r/${e(name)}`,
  details: (name: string) => `/rooms/${e(name)}`,
  recording: (id: string, seconds?: number) => `/recordings/${e(id)}${seconds === undefined ? "" : `?t=${Math.floor(seconds)}`}`,
};
