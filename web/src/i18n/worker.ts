import { currentLanguage } from "./index.ts";

/**
 * The service worker shows notifications while no page is open, and can read nothing that a page has stored: the language
 * stands in its address. Another address makes the browser take the worker anew and keep the subscription.
 */
export const workerAddress = (language: string): string => `/sw.js?lang=${language}`;

export function registerWorker(): Promise<ServiceWorkerRegistration> {
  return navigator.serviceWorker.register(workerAddress(currentLanguage()));
}

/** Tells a worker that is there of the language; where there is none, none is made. */
export async function tellWorker(): Promise<void> {
  if (!globalThis.navigator || !("serviceWorker" in navigator)) return;
  const registration = await navigator.serviceWorker.getRegistration("/");
  const running = registration?.active?.scriptURL;
  if (running && !running.endsWith(workerAddress(currentLanguage()))) await registerWorker();
}
