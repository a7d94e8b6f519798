import { useTranslation } from "react-i18next";
import { useRouteError } from "react-router";

import { Button } from "../ui/controls.tsx";
import { Notice } from "../ui/surfaces.tsx";

/** A fault of the pages themselves, or of a part that could not be fetched: after an update, loading anew helps. */
export function Crash() {
  const { t } = useTranslation();
  const error = useRouteError();
  return (
    <div className="gate"><main className="gate-card">
      <h1>{t("problems.crash_title")}</h1>
      <Notice tone="danger">{t("problems.crash_text")}</Notice>
      <details className="more"><summary>{t("problems.crash_details")}</summary><code>{String(error)}</code></details>
      <div className="row"><Button look="primary" onClick={() => window.location.reload()}>{t("common.reload")}</Button></div>
    </main></div>
  );
}
