import { client } from "../api/client.ts";
import { registerWorker } from "../i18n/worker.ts";

/** Web Push (RFC 8030, VAPID RFC 8292): notifications while no page is open. */
export const pushPossible = (): boolean => "serviceWorker" in navigator && "PushManager" in globalThis;

/** Asks the browser's leave, and tells the server where to push. */
export async function subscribe(publicKey: string): Promise<void> {
  if ((await Notification.requestPermission()) !== "granted") throw new DOMException("refused", "NotAllowedError");
  const worker = await registerWorker();
  const subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: decodeBase64Url(publicKey) });
  await client.post("/api/push/subscriptions", subscription.toJSON());
}

const current = async (): Promise<PushSubscription | null> => (await (await navigator.serviceWorker.getRegistration("/"))?.pushManager.getSubscription()) ?? null;

/** Whether this browser is pushed to. */
export const subscribed = async (): Promise<boolean> => (await current()) !== null;

/** Both are told: a subscription that only one of them knows of would be pushed to, or kept, for nothing. */
export async function unsubscribe(): Promise<void> {
  const subscription = await current();
  if (!subscription) return;
  await client.request("DELETE", "/api/push/subscriptions", { body: { endpoint: subscription.endpoint } });
  await subscription.unsubscribe();
}

export function decodeBase64Url(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}
