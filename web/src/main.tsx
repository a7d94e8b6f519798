import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./app/app.tsx";
import { startLanguage } from "./i18n/index.ts";
import { startTheme } from "./ui/theme.ts";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/ui.css";
import "./styles/pages.css";
import "./app/shell.css";

startTheme();
const root = document.getElementById("root");
if (!root) throw new Error("the page has no #root");
await startLanguage();
createRoot(root).render(<StrictMode><App /></StrictMode>);
