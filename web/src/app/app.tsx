import { lazy, Suspense, type ComponentType } from "react";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createBrowserRouter, Outlet, RouterProvider } from "react-router";

import { ApiError } from "../api/client.ts";
import { DashboardPage } from "../dashboard/dashboard.tsx";
import { AcceptPage, LoginPage, SetupPage } from "../session/sign-in.tsx";
import { SessionProvider } from "../session/session.tsx";
import { ToastHost } from "../ui/surfaces.tsx";
import { Crash } from "./crash.tsx";
import { NotFound, Shell, SignedIn, Starting } from "./shell.tsx";

/** Faults of the asker's are not tried again; those of the line are, twice. */
const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      retry: (count, error) => count < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
    },
  },
});

/** A part of the application that is fetched when it is first needed. */
function later<M>(load: () => Promise<M>, pick: (module: M) => ComponentType) {
  return lazy(async () => ({ default: pick(await load()) }));
}

const loadMeeting = () => import("../meeting/pages.tsx");
const loadAdmin = () => import("../admin/admin.tsx");
const loadPeople = () => import("../admin/people.tsx");
const loadLoadTests = () => import("../admin/loadtests.tsx");
const loadHistory = () => import("../history/history.tsx");

const RoomPage = later(loadMeeting, (module) => module.default);
const InvitePage = later(loadMeeting, (module) => module.InvitePage);
const EmbedPage = lazy(() => import("../embed/embed-page.tsx"));
const RecordingsPage = lazy(() => import("../recordings/list.tsx"));
const PlayerPage = lazy(() => import("../player/player-page.tsx"));
const RoomDetailsPage = lazy(() => import("../rooms/room-page.tsx"));
const AccountPage = lazy(() => import("../session/account.tsx"));
const HistoryPage = later(loadHistory, (module) => module.default);
const CallPage = later(loadHistory, (module) => module.CallPage);
const AdminLayout = later(loadAdmin, (module) => module.default);
const OverviewPage = later(loadAdmin, (module) => module.OverviewPage);
const RoomsPage = later(loadAdmin, (module) => module.RoomsPage);
const JobsPage = later(loadAdmin, (module) => module.JobsPage);
const StoragePage = later(loadAdmin, (module) => module.StoragePage);
const AuditPage = later(loadAdmin, (module) => module.AuditPage);
const UsersPage = later(loadPeople, (module) => module.UsersPage);
const KeysPage = later(loadPeople, (module) => module.KeysPage);
const SettingsPage = later(loadPeople, (module) => module.SettingsPage);
const LoadTestsPage = later(loadLoadTests, (module) => module.LoadTestsPage);
const LoadTestPage = later(loadLoadTests, (module) => module.LoadTestPage);

const router = createBrowserRouter([
  {
    element: <Suspense fallback={<Starting />}><Outlet /></Suspense>,
    errorElement: <Crash />,
    children: [
      { path: "/login", element: <LoginPage /> },
      { path: "/setup", element: <SetupPage /> },
      { path: "/accept/:token", element: <AcceptPage /> },
      { path: "/i/:token", element: <InvitePage /> },
      { path: "/embed/:room", element: <EmbedPage /> },
      {
        element: <SignedIn />,
        children: [
          { path: "/r/:room", element: <RoomPage /> },
          {
            element: <Shell />,
            children: [
              { path: "/", element: <DashboardPage /> },
              { path: "/rooms/:room", element: <RoomDetailsPage /> },
              { path: "/account", element: <AccountPage /> },
              { path: "/history", element: <HistoryPage /> },
              { path: "/history/:id", element: <CallPage /> },
              { path: "/recordings", element: <RecordingsPage /> },
              { path: "/recordings/:id", element: <PlayerPage /> },
              {
                path: "/admin",
                element: <AdminLayout />,
                children: [
                  { index: true, element: <OverviewPage /> },
                  { path: "users", element: <UsersPage /> },
                  { path: "rooms", element: <RoomsPage /> },
                  { path: "jobs", element: <JobsPage /> },
                  { path: "storage", element: <StoragePage /> },
                  { path: "audit", element: <AuditPage /> },
                  { path: "settings", element: <SettingsPage /> },
                  { path: "keys", element: <KeysPage /> },
                  { path: "loadtests", element: <LoadTestsPage /> },
                  { path: "loadtests/:id", element: <LoadTestPage /> },
                ],
              },
            ],
          },
        ],
      },
      { path: "*", element: <NotFound /> },
    ],
  },
]);

export function App() {
  return (
    <QueryClientProvider client={queries}>
      <ToastHost>
        <SessionProvider>
          <RouterProvider router={router} />
        </SessionProvider>
      </ToastHost>
    </QueryClientProvider>
  );
}
