import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import openapiTS, { astToString } from "openapi-typescript";
import { expect, it } from "vitest";

/** What stands at the head of the generated file. */
const HEAD = "// Generated from api/openapi.json; `npm run types` writes it anew.\n\n";

type Node = { [key: string]: unknown };

/** What refers to a schema that the document lacks says nothing about its shape: `unknown`, rather than no types at all. */
function withoutDangling(node: unknown, schemas: Node): unknown {
  if (Array.isArray(node)) return node.map((one) => withoutDangling(one, schemas));
  if (typeof node !== "object" || node === null) return node;
  const reference = (node as Node)["$ref"];
  if (typeof reference === "string" && !Object.hasOwn(schemas, reference.split("/").at(-1) ?? "")) return {};
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, withoutDangling(value, schemas)]));
}

it("the committed types are those of the API's document", async () => {
  const file = join(import.meta.dirname, "schema.ts");
  const document = JSON.parse(readFileSync(join(import.meta.dirname, "../../../api/openapi.json"), "utf8")) as { components: { schemas: Node } };
  const generated = HEAD + astToString(await openapiTS(JSON.stringify(withoutDangling(document, document.components.schemas)), { defaultNonNullable: false }));
  if (process.env["UPDATE"] === "1") writeFileSync(file, generated);
  expect(readFileSync(file, "utf8") === generated, "api/openapi.json has changed: run `npm run types` in web/ and commit src/api/schema.ts").toBe(true);
}, 60_000);
