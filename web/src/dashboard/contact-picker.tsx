import { useId, useState, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";
import { X } from "lucide-react";

import { useContacts, useRested } from "../api/queries.ts";
import { Avatar } from "../ui/surfaces.tsx";

/** Somebody to be asked in: a user by id, or an e-mail address. */
export type Chosen = { key: string; name: string };

const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;

/** People, by name from the contacts or by e-mail address. Arrow keys and Enter choose, Backspace takes back. */
export function ContactPicker({ label, chosen, onChange, fault }: { label?: string; chosen: Chosen[]; onChange: (chosen: Chosen[]) => void; fault?: string | undefined }) {
  const { t } = useTranslation();
  const id = useId();
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(0);
  const contacts = useContacts(useRested(text.trim()));
  const taken = new Set(chosen.map((person) => person.key));
  const found: Chosen[] = (contacts.data?.items ?? []).filter((contact) => !taken.has(contact.id)).slice(0, 6).map((contact) => ({ key: contact.id, name: contact.name }));
  const typed = text.trim();
  if (EMAIL.test(typed) && !taken.has(typed)) found.push({ key: typed, name: typed });

  const add = (person: Chosen | undefined) => {
    if (!person) return;
    onChange([...chosen, person]);
    setText("");
    setAt(0);
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt((now) => Math.min(now + 1, found.length - 1));
    else if (event.key === "ArrowUp") setAt((now) => Math.max(now - 1, 0));
    else if (event.key === "Enter") add(found[at]);
    else if (event.key === "Escape" && open) setOpen(false);
    else if (event.key === "Backspace" && text === "") return onChange(chosen.slice(0, -1));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const showing = open && found.length > 0;
  return (
    <div className="field picker">
      <label htmlFor={id}>{label ?? t("meeting.people")}</label>
      <div className="picker-box">
        {chosen.map((person) => (
          <span key={person.key} className="picker-chip">
            {person.name}
            <button type="button" aria-label={t("meeting.people_remove", { name: person.name })} onClick={() => onChange(chosen.filter((other) => other.key !== person.key))}><X size={14} /></button>
          </span>
        ))}
        <input
          id={id}
          role="combobox"
          aria-expanded={showing}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={showing ? `${id}-${at}` : undefined}
          autoComplete="off"
          aria-invalid={fault ? true : undefined}
          aria-describedby={fault ? `${id}-fault` : undefined}
          placeholder={chosen.length === 0 ? t("meeting.people_hint") : ""}
          value={text}
          onChange={(event) => { setText(event.target.value); setOpen(true); setAt(0); }}
          onFocus={() => setOpen(true)}
          onBlur={() => setOpen(false)}
          onKeyDown={keys}
        />
      </div>
      {fault && <span className="fault" id={`${id}-fault`} role="alert">{fault}</span>}
      {showing && (
        <ul className="picker-list" id={`${id}-list`} role="listbox" aria-label={label ?? t("meeting.people")}>
          {found.map((person, index) => (
            <li key={person.key} id={`${id}-${index}`} role="option" aria-selected={index === at} onPointerDown={(event) => { event.preventDefault(); add(person); }}>
              <Avatar name={person.name} id={person.key} size={28} />
              <span className="truncate">{person.name}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
