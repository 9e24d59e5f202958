// The book in headless Chromium: screenshots of its pages, every request to another host, errors, pages that are
// wider than the window, formulas that did not become pictures, and whether the search finds something.
// Usage: node book.mjs SITE FOLDER [page ...]; run.sh calls it. CHROMIUM: path of the browser. Pages that are named
// are also shown at their first figure, table and definition.
import { mkdirSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.cwd(), "package.json"));
const { chromium } = require("playwright-core");
const [site, folder, ...named] = process.argv.slice(2);
const all = readdirSync(site).filter((name) => name.endsWith(".html")).map((name) => name.slice(0, -5));
const pages = named.length ? named : all;
const looks = [
  { name: "wide-light", width: 1400, height: 900, scheme: "light" },
  { name: "wide-dark", width: 1400, height: 900, scheme: "dark" },
  { name: "narrow-light", width: 390, height: 844, scheme: "light" },
  { name: "narrow-dark", width: 390, height: 844, scheme: "dark" },
];
const address = (name) => pathToFileURL(resolve(site, name)).href;

mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
const faults = new Set();
let shots = 0;
for (const look of looks) {
  const context = await browser.newContext({ viewport: { width: look.width, height: look.height }, colorScheme: look.scheme });
  const page = await context.newPage();
  let searching = false; // opened as files, a page may not read another: the search lists pages without their text
  const note = (text) => { if (!searching || !/not get|fetch/.test(text)) faults.add(`${look.name}: ${text}`); };
  page.on("request", (r) => { if (!/^(file|data|blob|about):/.test(r.url())) note(`asks ${r.url()}`); });
  page.on("requestfailed", (r) => note(`does not get ${r.url()}`));
  page.on("pageerror", (e) => note(`${page.url()}: ${e.message}`));
  const shot = async (name) => { await page.screenshot({ path: join(folder, `${name}.${look.name}.png`) }); shots += 1; };
  for (const name of pages) {
    await page.goto(address(`${name}.html`), { waitUntil: "load" });
    await page.evaluate(async () => { if (window.MathJax?.startup?.promise) await window.MathJax.startup.promise; });
    const seen = await page.evaluate(() => ({
      over: document.documentElement.scrollWidth - window.innerWidth,
      formulas: document.querySelectorAll(".math").length,
      drawn: document.querySelectorAll(".math mjx-container").length,
      wrong: document.querySelectorAll("mjx-container [data-mjx-error]").length,
    }));
    if (seen.over > 1) note(`${name} is ${seen.over} px wider than the window`);
    if (seen.drawn < seen.formulas || seen.wrong) note(`${name}: ${seen.drawn} of ${seen.formulas} formulas, ${seen.wrong} wrong`);
    await shot(name);
    for (const [kind, where] of !named.length ? [] : [["figure", ".cell_output img"], ["table", ".cell_output table, article table"], ["package", ".tag_exported:has(.nf, .nc)"]]) {
      const found = page.locator(where).first();
      if (!(await found.count())) continue;
      await found.evaluate((element) => element.scrollIntoView({ block: "center", behavior: "instant" }));
      await page.waitForTimeout(150);
      await shot(`${name}.${kind}`);
    }
  }
  searching = true;
  await page.goto(`${address("search.html")}?q=quantisation`, { waitUntil: "load" });
  await page.waitForSelector("#search-results li", { timeout: 20000 }).catch(() => note("the search finds nothing"));
  await shot("search-results");
  await context.close();
}
await browser.close();
console.log(`${pages.length} pages in ${looks.length} looks, ${shots} screenshots, ${faults.size} faults`);
for (const line of faults) console.log(line);
process.exit(faults.size ? 1 : 0);
