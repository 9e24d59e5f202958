// Screenshots of the book in headless Chromium, and every request that its pages make to another host.
// Usage: node tests/browser/shots.mjs SITE FOLDER [page ...]; needs npm's playwright-core and a Chromium (CHROMIUM=path).
import { mkdirSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.cwd(), "package.json"));
const { chromium } = require("playwright-core");
const [site, folder, ...named] = process.argv.slice(2);
const pages = named.length ? named : readdirSync(site).filter((name) => name.endsWith(".html")).map((name) => name.slice(0, -5));
const looks = [
  { name: "wide-light", width: 1400, height: 900, scheme: "light" },
  { name: "wide-dark", width: 1400, height: 900, scheme: "dark" },
  { name: "narrow-light", width: 390, height: 844, scheme: "light" },
  { name: "narrow-dark", width: 390, height: 844, scheme: "dark" },
];

mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
const foreign = [], wrong = [], wide = [];
for (const look of looks) {
  const context = await browser.newContext({ viewport: { width: look.width, height: look.height }, colorScheme: look.scheme });
  const page = await context.newPage();
  page.on("request", (r) => { if (!/^(file|data|blob|about):/.test(r.url())) foreign.push(`${look.name}: ${r.url()}`); });
  page.on("requestfailed", (r) => wrong.push(`${look.name}: not found ${r.url()}`));
  page.on("pageerror", (e) => wrong.push(`${look.name}: ${page.url()}: ${e.message}`));
  for (const name of pages) {
    await page.goto(pathToFileURL(resolve(site, `${name}.html`)).href, { waitUntil: "load" });
    await page.evaluate(async () => { if (window.MathJax?.startup?.promise) await window.MathJax.startup.promise; });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (over > 1) wide.push(`${look.name}: ${name} is ${over} px wider than the window`);
    await page.screenshot({ path: join(folder, `${name}.${look.name}.png`) });
  }
  await context.close();
}
await browser.close();
console.log(`${pages.length} pages, ${looks.length} looks: ${foreign.length} requests to other hosts, ${wrong.length} errors, ${wide.length} too wide`);
for (const line of [...new Set([...foreign, ...wrong, ...wide])]) console.log(line);
process.exit(foreign.length + wrong.length + wide.length ? 1 : 0);
