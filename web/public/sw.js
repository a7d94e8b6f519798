// Shows what the server pushes, and opens its page. It keeps nothing and answers no requests.
const TEXTS = {
  fr: {
    invited: (note) => `${note.by} vous invite`,
    room_live: () => "La réunion a commencé",
    waiting: (note) => `${note.by} attend d’entrer`,
    recording_ready: () => "L’enregistrement est prêt",
    recording_failed: () => "L’enregistrement a échoué",
  },
  en: {
    invited: (note) => `${note.by} invites you`,
    room_live: () => "The meeting has begun",
    waiting: (note) => `${note.by} is waiting to enter`,
    recording_ready: () => "The recording is ready",
    recording_failed: () => "The recording has failed",
  },
};

// The pages say in the address which language was chosen in them.
const chosen = new URL(self.location.href).searchParams.get("lang") ?? self.navigator.language;
const LANGUAGE = chosen.startsWith("fr") ? "fr" : "en";

// A worker with another language takes over at once: it holds nothing that an older one would miss.
self.addEventListener("install", () => self.skipWaiting());

const words = (value) => (typeof value === "string" ? value : "");

function read(event) {
  try {
    return event.data?.json() ?? {};
  } catch {
    // Not ours, or damaged: shown without words of its own.
    return {};
  }
}

function pathOf(note) {
  if (words(note.recording)) return `/recordings/${encodeURIComponent(note.recording)}`;
  return words(note.room) ? `/r/${encodeURIComponent(note.room)}` : "/";
}

self.addEventListener("push", (event) => {
  const data = read(event);
  const note = { ...data, by: words(data.by) };
  const texts = TEXTS[LANGUAGE];
  const body = Object.hasOwn(texts, words(note.kind)) ? texts[note.kind](note) : "";
  const options = { body, icon: "/icon.svg", tag: words(note.id), data: { path: pathOf(note) } };
  event.waitUntil(self.registration.showNotification(words(note.title) || "Greffier", options));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(self.clients.openWindow(event.notification.data?.path ?? "/"));
});
