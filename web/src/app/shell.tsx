import { Suspense, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link, Navigate, NavLink, Outlet, useLocation } from "react-router";
import { ChartColumn, CircleUser, Disc, House, LogOut, Moon, Settings, Sun } from "lucide-react";

import { useServerEvents } from "../api/events.ts";
import { NotificationBell } from "../dashboard/notifications.tsx";
import { useSession } from "../session/session.tsx";
import { Button } from "../ui/controls.tsx";
import { Avatar, Menu, MenuItem, Notice, Placeholder } from "../ui/surfaces.tsx";
import { chooseTheme } from "../ui/theme.ts";
import { Brand, LanguageChoice } from "./brand.tsx";
import { usePageTitle } from "./title.ts";

/** Lets people in who have a session, and sends others to the log-in page and back. */
export function SignedIn() {
  const { state, retry } = useSession();
  const { t } = useTranslation();
  const location = useLocation();
  if (state.status === "starting") return <Starting />;
  if (state.status === "unreachable") {
    return (
      <div className="gate"><main className="gate-card">
        <Notice tone="danger">{t("problems.unreachable")}</Notice>
        <Button look="primary" onClick={retry}>{t("common.retry")}</Button>
      </main></div>
    );
  }
  if (state.status === "nobody") return <Navigate to={`/login?next=${encodeURIComponent(location.pathname + location.search)}`} replace />;
  return <Outlet />;
}

export function Starting() {
  const { t } = useTranslation();
  return <div className="starting" role="status" aria-label={t("common.loading")}><span className="spinner" /></div>;
}

/** The frame of all pages but meetings. */
export function Shell() {
  const { t } = useTranslation();
  const { user, end } = useSession();
  useServerEvents();
  return (
    <>
      <a className="skip" href="#content">{t("common.skip")}</a>
      <header className="shell-bar">
        <div className="shell-bar-inside">
          <Brand />
          <nav className="shell-nav" aria-label={t("nav.main")}>
            <NavLink to="/" end><House size={18} aria-hidden /><span>{t("nav.dashboard")}</span></NavLink>
            <NavLink to="/recordings"><Disc size={18} aria-hidden /><span>{t("nav.recordings")}</span></NavLink>
            <NavLink to="/history"><ChartColumn size={18} aria-hidden /><span>{t("nav.history")}</span></NavLink>
            {user?.role === "admin" && <NavLink to="/admin"><Settings size={18} aria-hidden /><span>{t("nav.admin")}</span></NavLink>}
          </nav>
          <div className="row push shell-tools">
            <span className="only-wide"><LanguageChoice /></span>
            <NotificationBell />
            {user && (
              <Menu button={(open) => <button type="button" {...open} className="avatar-button" aria-label={t("nav.account")}><Avatar name={user.name} id={user.id} size={34} /></button>}>
                {(close) => (
                  <>
                    <div className="menu-title"><strong>{user.name}</strong><div className="soft">{user.email}</div></div>
                    <Link role="menuitem" className="menu-item" to="/account" onClick={close}><CircleUser size={18} />{t("nav.account")}</Link>
                    <MenuItem icon={<Sun size={18} />} onSelect={() => { chooseTheme("light"); close(); }}>{t("nav.light")}</MenuItem>
                    <MenuItem icon={<Moon size={18} />} onSelect={() => { chooseTheme("dark"); close(); }}>{t("nav.dark")}</MenuItem>
                    <hr />
                    <MenuItem icon={<LogOut size={18} />} onSelect={() => void end()}>{t("nav.logout")}</MenuItem>
                  </>
                )}
              </Menu>
            )}
          </div>
        </div>
      </header>
      <main id="content" className="page" tabIndex={-1}>
        <Suspense fallback={<Placeholder lines={6} />}><Outlet /></Suspense>
      </main>
    </>
  );
}

/** A page's first lines: what it is, and what can be done here. */
export function PageHead({ title, lead, children }: { title: string; lead?: ReactNode; children?: ReactNode }) {
  usePageTitle(title);
  return (
    <div className="page-head">
      <div className="grow">
        <h1>{title}</h1>
        {lead && <div className="soft">{lead}</div>}
      </div>
      {children && <div className="row wrap">{children}</div>}
    </div>
  );
}

export function NotFound() {
  const { t } = useTranslation();
  return (
    <div className="gate"><main className="gate-card">
      <h1>{t("problems.page_title")}</h1>
      <p className="soft">{t("problems.page_text")}</p>
      <Link className="button primary" to="/">{t("nav.dashboard")}</Link>
    </main></div>
  );
}
