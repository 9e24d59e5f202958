// The decks of `make slides` in headless Chromium: every slide as a picture, slides that are too full, and every
// request to another host. Usage: node slides.mjs DECKS FOLDER; run.sh calls it where decks were built.
import { mkdirSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.cwd(), "package.json"));
const { chromium } = require("playwright-core");
const [decks, folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
const faults = new Set();
page.on("request", (r) => { if (!/^(file|data|blob|about):/.test(r.url())) faults.add(`asks ${r.url()}`); });
page.on("requestfailed", (r) => faults.add(`does not get ${r.url()}`));
page.on("pageerror", (e) => faults.add(`${page.url()}: ${e.message}`));
let slides = 0;
for (const name of readdirSync(decks).filter((name) => /^\d.*\.html$/.test(name))) {
  await page.goto(pathToFileURL(resolve(decks, name)).href);
  await page.waitForFunction(() => window.Reveal && Reveal.isReady());
  await page.evaluate(async () => { await window.MathJax?.startup?.promise; Reveal.configure({ transition: "none" }); Reveal.layout(); });
  const total = await page.evaluate(() => Reveal.getTotalSlides());
  for (let i = 0; i < total; i += 1) {
    await page.waitForTimeout(100);
    const [height, most] = await page.evaluate(() => [Reveal.getCurrentSlide().scrollHeight, Reveal.getConfig().height]);
    if (height > most) faults.add(`${name}, slide ${i + 1}: ${height} px high, ${most} fit`);
    await page.screenshot({ path: join(folder, `${name.slice(0, -5)}.${i + 1}.png`) });
    await page.evaluate(() => Reveal.next());
    slides += 1;
  }
}
await browser.close();
console.log(`${slides} slides, ${faults.size} faults`);
for (const line of faults) console.log(line);
process.exit(faults.size ? 1 : 0);
