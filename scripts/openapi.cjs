// Cuts GitHub's published OpenAPI description down to what pgtrickle-ci asks of it: the server starts in a second
// instead of fifteen. Only the examples are changed, so that they have comments and an issue of ours to find.
const { readFileSync, writeFileSync } = require("node:fs");

const [from, to] = process.argv.slice(2);
const whole = JSON.parse(readFileSync(from, "utf8"));
const wanted = [
  "/user",
  "/repos/{owner}/{repo}/issues",
  "/repos/{owner}/{repo}/issues/{issue_number}",
  "/repos/{owner}/{repo}/issues/{issue_number}/comments",
  "/repos/{owner}/{repo}/issues/comments/{comment_id}",
  "/repos/{owner}/{repo}/commits/{commit_sha}/pulls",
  "/repos/{owner}/{repo}/pulls",
];
const paths = Object.fromEntries(wanted.map((path) => [path, whole.paths[path]]));
if (Object.values(paths).includes(undefined)) throw new Error("the description has other paths than expected");

// What the paths refer to, and what that refers to.
const components = {};
const follow = (value) => {
  if (Array.isArray(value)) return value.forEach(follow);
  if (typeof value !== "object" || value === null) return;
  if (typeof value.$ref === "string") {
    const [, , kind, name] = value.$ref.split("/");
    if (!components[kind]?.[name]) {
      components[kind] = { ...components[kind], [name]: whole.components[kind][name] };
      follow(whole.components[kind][name]);
    }
  }
  Object.values(value).forEach(follow);
};
follow(paths);

const example = (name) => components.examples[name];
const [comment] = example("issue-comment-items").value;
const ours = (id, key) => ({ ...comment, id, body: `text\n\n<!-- pgtrickle-ci:${key} -->` });
example("issue-comment-items").value = [comment, ours(2, "one"), ours(3, "two"), ours(4, "two")];
const issues = Object.keys(components.examples).filter((name) => /^issue.*-items/.test(name) && name !== "issue-comment-items");
for (const name of issues) {
  const [issue] = example(name).value;
  if (issue?.number) {
    const { pull_request: _, ...plain } = issue;
    example(name).value = [issue, { ...plain, number: 7, body: "text\n\n<!-- pgtrickle-ci:night -->" }];
  }
}
// The description's own example lacks what it asks of a team.
for (const pull of example("pull-request-simple-items").value) pull.requested_teams = [];

writeFileSync(to, JSON.stringify({ openapi: whole.openapi, info: whole.info, paths, components }));
