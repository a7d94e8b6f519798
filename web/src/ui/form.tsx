import { useTranslation } from "react-i18next";

import { faultsOf } from "../i18n/faults.ts";
import { explain } from "../i18n/problems.ts";
import { Notice } from "./surfaces.tsx";

/** What the server found wrong with a form: `at(pointer)` for its fields, and `notice` to stand above them. */
export function useFaults(error: unknown, pointers: readonly string[]) {
  const { t } = useTranslation();
  const { at, rest, placed } = faultsOf(t, error, pointers);
  const notice = error ? (
    <Notice tone="danger">
      {placed ? t("faults.see_fields") : explain(t, error)}
      {rest.length > 0 && <ul className="fault-list">{rest.map((one) => <li key={one}>{one}</li>)}</ul>}
    </Notice>
  ) : null;
  return { at, notice };
}
