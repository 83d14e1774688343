// The comment that docs/action.md shows, as a page that looks like GitHub's: node scripts/picture.mjs MODULES OUT.html
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, out] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { marked } = await import(pathToFileURL(require.resolve("marked")));

const block = /<!-- output:comment -->\n([\s\S]*?)<!-- \/output:comment -->/.exec(readFileSync("docs/action.md", "utf8"));
const markdown = block[1].replace(/^> ?/gm, "");
let html = marked.parse(markdown, { gfm: true });
html = html.replace(/<pre><code class="language-mermaid">([\s\S]*?)<\/code><\/pre>/g, '<pre class="mermaid">$1</pre>');
const painted = (line) => `<span class="${{ "+": "added", "-": "removed" }[line[0]] ?? ""}">${line}</span>`;
html = html.replace(
  /<pre><code class="language-diff">([\s\S]*?)\n?<\/code><\/pre>/g,
  (_, lines) => `<pre><code>${lines.split("\n").map(painted).join("\n")}</code></pre>`,
);
// The first folds stand open, so that what is in them can be seen.
let opened = 0;
html = html.replace(/<details>/g, (fold) => (opened++ < 2 ? "<details open>" : fold));

const style = readFileSync(require.resolve("github-markdown-css/github-markdown-light.css"), "utf8");
writeFileSync(
  out,
  `<!doctype html><meta charset="utf-8"><title>comment</title><style>${style}
body { margin: 0; background: #fff }
.comment { margin: 12px; border: 1px solid #d1d9e0; border-radius: 6px }
.author { font: 14px sans-serif; background: #f6f8fa; border-bottom: 1px solid #d1d9e0; padding: 8px 16px; color: #59636e; border-radius: 6px 6px 0 0 }
.author b { color: #1f2328 }
.markdown-body { padding: 16px; font-size: 14px }
.added { background: #dafbe1; display: inline-block; width: 100% }
.removed { background: #ffebe9; display: inline-block; width: 100% }
.mermaid { background: #fff !important; text-align: center }
.mermaid svg { max-height: 300px }
</style>
<div class="comment"><div class="author"><b>github-actions</b> bot commented</div><div class="markdown-body">${html}</div></div>
<script src="${pathToFileURL(require.resolve("mermaid/dist/mermaid.min.js"))}"></script>
<script>mermaid.initialize({ startOnLoad: true, theme: "neutral", securityLevel: "strict" })</script>`,
);
