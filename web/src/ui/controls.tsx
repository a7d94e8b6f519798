import { useId, type ButtonHTMLAttributes, type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, type TextareaHTMLAttributes } from "react";
import { Link, type LinkProps } from "react-router";
import { Search } from "lucide-react";

type Look = { look?: "primary" | "danger" | "quiet" | "plain"; size?: "small" | "large" | "normal"; wide?: boolean };

function classes(base: string, { look = "plain", size = "normal", wide }: Look, extra?: string): string {
  return [base, look, size, wide && "wide", extra].filter((name) => name && name !== "plain" && name !== "normal").join(" ");
}

export type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & Look & { busy?: boolean };

export function Button({ look, size, wide, busy, className, children, disabled, type = "button", ...rest }: ButtonProps) {
  return (
    <button {...rest} type={type} disabled={disabled || busy} aria-busy={busy || undefined} className={classes("button", { ...(look && { look }), ...(size && { size }), ...(wide && { wide }) }, className)}>
      {busy && <span className="spinner" aria-hidden />}
      {children}
    </button>
  );
}

/** A button with a picture alone: its name is read out, and shown when pointed at. */
export function IconButton({ label, size, look = "quiet", className, children, ...rest }: ButtonProps & { label: string }) {
  return (
    <Button {...rest} look={look} {...(size && { size })} className={`icon ${className ?? ""}`} aria-label={label} title={label}>
      {children}
    </Button>
  );
}

export function ButtonLink({ look, size, wide, className, ...rest }: LinkProps & Look) {
  return <Link {...rest} className={classes("button", { ...(look && { look }), ...(size && { size }), ...(wide && { wide }) }, className)} />;
}

type FieldProps = { label: ReactNode; hint?: ReactNode; fault?: string | undefined };

function useField({ hint, fault }: Pick<FieldProps, "hint" | "fault">) {
  const id = useId();
  const described = [hint && `${id}-hint`, fault && `${id}-fault`].filter(Boolean).join(" ");
  return { id, control: { id, "aria-invalid": fault ? true : undefined, "aria-describedby": described || undefined } };
}

function Field({ id, label, hint, fault, children }: FieldProps & { id: string; children: ReactNode }) {
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children}
      {hint && <span className="hint" id={`${id}-hint`}>{hint}</span>}
      {fault && <span className="fault" id={`${id}-fault`} role="alert">{fault}</span>}
    </div>
  );
}

export function TextField({ label, hint, fault, className, ...rest }: FieldProps & InputHTMLAttributes<HTMLInputElement>) {
  const { id, control } = useField({ hint, fault });
  return <Field {...{ id, label, hint, fault }}><input {...rest} {...control} className={`input ${className ?? ""}`} /></Field>;
}

export function TextArea({ label, hint, fault, className, ...rest }: FieldProps & TextareaHTMLAttributes<HTMLTextAreaElement>) {
  const { id, control } = useField({ hint, fault });
  return <Field {...{ id, label, hint, fault }}><textarea rows={3} {...rest} {...control} className={`input ${className ?? ""}`} /></Field>;
}

export function SelectField({ label, hint, fault, children, ...rest }: FieldProps & SelectHTMLAttributes<HTMLSelectElement>) {
  const { id, control } = useField({ hint, fault });
  return <Field {...{ id, label, hint, fault }}><select {...rest} {...control} className="input">{children}</select></Field>;
}

export function SearchField({ label, ...rest }: { label: string } & InputHTMLAttributes<HTMLInputElement>) {
  return (
    <div className="search">
      <Search size={18} aria-hidden />
      <input type="search" className="input" aria-label={label} placeholder={label} {...rest} />
    </div>
  );
}

export function Switch({ label, hint, ...rest }: { label: ReactNode; hint?: ReactNode } & InputHTMLAttributes<HTMLInputElement>) {
  const id = useId();
  return (
    <label className="switch">
      <input type="checkbox" role="switch" aria-describedby={hint ? id : undefined} {...rest} />
      <span>
        <span>{label}</span>
        {hint && <span className="soft small" id={id} style={{ display: "block" }}>{hint}</span>}
      </span>
    </label>
  );
}

/** One of a few, all in sight. */
export function Segmented<T extends string>({ label, value, options, onChange }: { label: string; value: T; options: { value: T; label: ReactNode; icon?: ReactNode }[]; onChange: (value: T) => void }) {
  return (
    <div className="segmented" role="group" aria-label={label}>
      {options.map((option) => (
        <button key={option.value} type="button" aria-pressed={option.value === value} title={typeof option.label === "string" ? option.label : undefined} onClick={() => onChange(option.value)}>
          {option.icon}
          <span className="segmented-text">{option.label}</span>
        </button>
      ))}
    </div>
  );
}
