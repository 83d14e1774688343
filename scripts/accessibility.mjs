// Writes the report with axe-core in it: node scripts/accessibility.mjs MODULES REPORT OUT.html
// Without arguments, judges what such a page became in a browser: its markup is the standard input.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, report, out] = process.argv.slice(2);

if (modules) {
  const axe = readFileSync(createRequire(`${modules}/`).resolve("axe-core/axe.min.js"), "utf8");
  const run = `axe.run().then((found) => {
    const said = document.createElement("script");
    said.type = "application/json";
    said.id = "found";
    const ways = { violations: found.violations, incomplete: found.incomplete, passes: found.passes.length, dark: matchMedia("(prefers-color-scheme: dark)").matches };
    said.textContent = btoa(encodeURIComponent(JSON.stringify(ways)));
    document.body.append(said);
  });`;
  const html = readFileSync(report, "utf8")
    // The report allows no scripts, and all that is folded is looked at.
    .replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, "")
    .replaceAll("<details>", "<details open>")
    .replace("</body>", () => `<script>${axe}</script><script>${run}</script></body>`);
  writeFileSync(out, html);
} else {
  const found = /id="found">([^<]*)</.exec(readFileSync(0, "utf8"));
  if (!found) throw new Error("axe-core did not answer");
  const { violations, incomplete, passes, dark } = JSON.parse(decodeURIComponent(atob(found[1])));
  // The contrast of a mark that is no letter, and of text in a drawing, is not decided.
  const wrong = [...violations, ...incomplete.filter(({ id }) => id !== "color-contrast")];
  console.log(`${passes} rules passed, ${wrong.length} not${dark ? ", dark" : ""}`);
  for (const { id, help, nodes } of wrong) {
    console.log(`  ${id}: ${help}`);
    for (const { target, failureSummary } of nodes.slice(0, 3)) console.log(`    ${target}: ${failureSummary ?? ""}`);
  }
  process.exit(wrong.length ? 1 : 0);
}
