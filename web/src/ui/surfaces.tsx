import { createContext, useCallback, useContext, useEffect, useId, useMemo, useRef, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { CircleAlert, Info, TriangleAlert, CircleCheck, X } from "lucide-react";

import { explain } from "../i18n/problems.ts";
import { Button, IconButton } from "./controls.tsx";

// --- dialog ---------------------------------------------------------------------------------------------------------

/** The browser's own modal dialog: it keeps the focus, and Escape closes it. */
export function Dialog({ title, onClose, wide, children }: { title: string; onClose: () => void; wide?: boolean; children: ReactNode }) {
  const { t } = useTranslation();
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = ref.current;
    if (dialog && !dialog.open) dialog.showModal?.();
    return () => dialog?.close?.();
  }, []);
  return (
    <dialog ref={ref} className={wide ? "dialog wide" : "dialog"} aria-labelledby={heading} onCancel={(event) => { event.preventDefault(); onClose(); }}>
      <div className="dialog-head">
        <h2 id={heading}>{title}</h2>
        <IconButton label={t("common.close")} onClick={onClose}><X size={20} /></IconButton>
      </div>
      <div className="dialog-body">{children}</div>
    </dialog>
  );
}

export function Confirm({ title, text, action, onConfirm, onClose, busy }: { title: string; text: string; action: string; onConfirm: () => void; onClose: () => void; busy?: boolean }) {
  const { t } = useTranslation();
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      <div className="dialog-foot">
        <Button onClick={onClose}>{t("common.cancel")}</Button>
        <Button look="danger" busy={busy ?? false} onClick={onConfirm}>{action}</Button>
      </div>
    </Dialog>
  );
}

// --- menu -----------------------------------------------------------------------------------------------------------

/** A list of things to do. `button` gets the properties that open it. */
export function Menu({ button, up, start, children }: { button: (properties: { onClick: () => void; "aria-expanded": boolean; "aria-haspopup": "menu" }) => ReactNode; up?: boolean; start?: boolean; children: (close: () => void) => ReactNode }) {
  const [open, setOpen] = useState(false);
  const anchor = useRef<HTMLDivElement>(null);
  const close = useCallback(() => setOpen(false), []);
  useEffect(() => {
    if (!open) return;
    const items = () => [...(anchor.current?.querySelectorAll<HTMLElement>(".menu-item:not(:disabled)") ?? [])];
    items()[0]?.focus();
    const outside = (event: PointerEvent) => {
      if (!anchor.current?.contains(event.target as Node)) setOpen(false);
    };
    const keys = (event: KeyboardEvent) => {
      const all = items();
      const at = all.indexOf(document.activeElement as HTMLElement);
      if (event.key === "Escape") {
        setOpen(false);
        anchor.current?.querySelector<HTMLElement>("[aria-haspopup]")?.focus();
      } else if (event.key === "ArrowDown") all[(at + 1) % all.length]?.focus();
      else if (event.key === "ArrowUp") all[(at - 1 + all.length) % all.length]?.focus();
      else return;
      event.preventDefault();
      event.stopPropagation();
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("keydown", keys, true);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("keydown", keys, true);
    };
  }, [open]);
  return (
    <div className="menu-anchor" ref={anchor}>
      {button({ onClick: () => setOpen((was) => !was), "aria-expanded": open, "aria-haspopup": "menu" })}
      {open && <div role="menu" ref={intoView} className={["menu", up && "up", start && "start"].filter(Boolean).join(" ")}>{children(close)}</div>}
    </div>
  );
}

/** On a phone what opens beside its button may not fit: it is moved until it does. */
function intoView(menu: HTMLElement | null): void {
  if (!menu) return;
  const margin = 8;
  const { left, right } = menu.getBoundingClientRect();
  const shift = Math.max(margin - left, 0) - Math.max(right - (document.documentElement.clientWidth - margin), 0);
  if (shift !== 0) menu.style.translate = `${shift}px`;
}

export function MenuItem({ icon, danger, disabled, checked, onSelect, children }: { icon?: ReactNode; danger?: boolean; disabled?: boolean; checked?: boolean; onSelect: () => void; children: ReactNode }) {
  return (
    <button type="button" role={checked === undefined ? "menuitem" : "menuitemradio"} aria-checked={checked} className={danger ? "menu-item danger" : "menu-item"} disabled={disabled} onClick={onSelect}>
      {icon}
      <span className="grow">{children}</span>
      {checked && <CircleCheck size={16} aria-hidden />}
    </button>
  );
}

// --- things to say --------------------------------------------------------------------------------------------------

const NOTICE_ICONS = { info: Info, good: CircleCheck, warn: TriangleAlert, danger: CircleAlert };

export function Notice({ tone = "info", children }: { tone?: keyof typeof NOTICE_ICONS; children: ReactNode }) {
  const Icon = NOTICE_ICONS[tone];
  return (
    <div className={`notice ${tone}`} role={tone === "danger" ? "alert" : "status"}>
      <Icon size={18} aria-hidden />
      <div className="grow">{children}</div>
    </div>
  );
}

/** What went wrong, in the user's language, with another try where one makes sense. */
export function Fault({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTranslation();
  if (!error) return null;
  return (
    <Notice tone="danger">
      <div className="row wrap">
        <span className="grow">{explain(t, error)}</span>
        {onRetry && <Button size="small" onClick={onRetry}>{t("common.retry")}</Button>}
      </div>
    </Notice>
  );
}

export function Empty({ icon, title, children }: { icon?: ReactNode; title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      {icon}
      <strong>{title}</strong>
      {children && <div>{children}</div>}
    </div>
  );
}

/** Stands where a list will be, as high as its lines. */
export function Placeholder({ lines = 3, height = 56 }: { lines?: number; height?: number }) {
  const { t } = useTranslation();
  return (
    <div role="status" aria-label={t("common.loading")} style={{ padding: "8px 24px" }}>
      {Array.from({ length: lines }, (_, index) => (
        <div key={index} className="skeleton" style={{ height: height - 24, margin: "12px 0", width: `${92 - ((index * 17) % 40)}%` }} />
      ))}
    </div>
  );
}

export function Progress({ value, label }: { value: number; label: string }) {
  const percent = Math.round(Math.min(1, Math.max(0, value)) * 100);
  return (
    <div className="progress" role="progressbar" aria-label={label} aria-valuenow={percent} aria-valuemin={0} aria-valuemax={100}>
      <span style={{ width: `${percent}%` }} />
    </div>
  );
}

const AVATAR_COLOURS = ["#0c6153", "#8a4b12", "#27579b", "#7a3b86", "#96342c", "#4a6312", "#1e6470", "#6a4ca3"];

/** The same person has the same colour everywhere. */
export function colourOf(key: string): string {
  let sum = 0;
  for (const letter of key) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return AVATAR_COLOURS[sum % AVATAR_COLOURS.length] as string;
}

export function initialsOf(name: string): string {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const first = [...(words[0] ?? "?")][0] ?? "?";
  const last = words.length > 1 ? ([...(words.at(-1) ?? "")][0] ?? "") : "";
  return (first + last).toUpperCase();
}

export function Avatar({ name, id, size = 36 }: { name: string; id?: string; size?: number }) {
  return (
    <span className="avatar" aria-hidden data-initials={initialsOf(name)} style={{ width: size, height: size, fontSize: size * 0.38, background: colourOf(id ?? name) }} />
  );
}

// --- toasts ---------------------------------------------------------------------------------------------------------

type Toast = { id: number; text: string; tone: "plain" | "danger" };
type Say = { say: (text: string) => void; complain: (error: unknown) => void };

const Toasts = createContext<Say>({ say: () => undefined, complain: () => undefined });
export const useToasts = () => useContext(Toasts);

const TOAST_MS = 5_000;

export function ToastHost({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  const [toasts, setToasts] = useState<Toast[]>([]);
  const next = useRef(0);
  const say = useMemo<Say>(() => {
    const add = (text: string, tone: Toast["tone"]) => {
      const id = (next.current += 1);
      setToasts((all) => [...all.slice(-2), { id, text, tone }]);
      setTimeout(() => setToasts((all) => all.filter((toast) => toast.id !== id)), TOAST_MS);
    };
    return { say: (text) => add(text, "plain"), complain: (error) => add(explain(t, error), "danger") };
  }, [t]);
  return (
    <Toasts value={say}>
      {children}
      <div className="toasts" role="status" aria-live="polite">
        {toasts.map((toast) => <div key={toast.id} className={`toast ${toast.tone}`}>{toast.text}</div>)}
      </div>
    </Toasts>
  );
}

/** Copies, and says so. */
export function useCopy(): (text: string) => void {
  const { t } = useTranslation();
  const { say, complain } = useToasts();
  return useCallback((text: string) => {
    navigator.clipboard.writeText(text).then(() => say(t("common.copied")), complain);
  }, [t, say, complain]);
}
