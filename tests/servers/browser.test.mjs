/*
 * The pages in a real browser (Debian's Chromium): what a person sees and does. Nothing may stand on the console, and no
 * request may leave the gateway. Screenshots are kept in build/check/screenshots.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import { stateFile } from './config.mjs';
import { configFolder, configText, model, newKey, postJson } from './gate.mjs';
import { buildDir, kinds, skipReason, startServer, waitFor } from './harness.mjs';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((f) => existsSync(f));
const skip = executablePath ? false : 'no chromium here';
const shots = path.join(buildDir, '..', 'screenshots');
/* 3 × 2 pixels, grey. */
const photo = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC7xOBSAAAAD0lEQVR4nGNoaGhgAGMADA4DAeBFeP0AAAAASUVORK5CYII=', 'base64');

/* One FastCGI and one CGI server are enough: what differs between servers is tested without a browser. */
for (const kind of kinds.filter((k) => ['lighttpd-fastcgi', 'apache-cgi'].includes(k))) {
        describe(`pages in a browser over ${kind}`, { skip: skip || skipReason(kind), concurrency: false }, () => {
                const key = newKey('ops'), state = stateFile(), ledger = path.join(path.dirname(state), 'usage.db');
                let server, url, browser, config;
                before(async () => {
                        const folder = configFolder();
                        config = folder.file('tollgate.conf', configText({
                                settings: `anonymous = "public"; state = "${state}"; ledger = "${ledger}"; operators = { accounts = [ "public" ]; };
                                           prices = ( { model = "slow"; input = 1000.0; output = 2000.0; }, { model = "echo"; input = 10.0; output = 20.0; } );`,
                                providers: ['{ name = "slowly"; dialect = "echo"; delay = 0.05; }'],
                                models: [model('typist', [['slowly', 'slow']])],
                                accounts: [`{ name = "public"; models = ["*"]; limits = { rpm = 500; }; budget = { day = 50.0; hard = false; }; keys = ( ${key.row} ); }`],
                        }));
                        server = await startServer(kind, { config });
                        url = server.baseUrl;
                        mkdirSync(shots, { recursive: true });
                        browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
                });
                after(async () => {
                        await browser?.close();
                        await server?.stop();
                });

                /* A page, what stood on its console, and where its requests went. */
                const open = async (where, options = {}) => {
                        const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
                        const page = await context.newPage(), seen = [], hosts = new Set();
                        page.on('console', (m) => seen.push(m.text()));
                        page.on('pageerror', (e) => seen.push(String(e)));
                        page.on('request', (r) => { if (!/^(data|blob):/.test(r.url())) hosts.add(new URL(r.url()).host); });
                        await page.goto(url + where);
                        return { page, close: async () => {
                                await context.close();
                                assert.deepEqual(seen, [], 'on the console');
                                assert.deepEqual([...hosts], [new URL(url).host], 'requests go to the gateway only');
                        } };
                };
                const shot = (page, name) => page.screenshot({ path: path.join(shots, `${kind}-${name}.png`), fullPage: true });
                const fact = (page, section, name) => page.locator(`#${section} .facts div`, { has: page.locator('dt', { hasText: new RegExp(`^${name}$`) }) }).locator('dd').textContent();

                it('streams a chat and tells what it cost', async () => {
                        const { page, close } = await open('/');
                        await page.selectOption('#chat-model', 'typist');
                        await page.fill('#chat-prompt', 'one two three four five six seven eight nine ten eleven twelve');
                        await page.click('#chat .main');
                        const answer = page.locator('#chat .talk li.assistant');
                        await waitFor(async () => /one two/.test(await answer.textContent()), { what: 'the first words' });
                        const early = await answer.textContent();
                        await page.waitForSelector('#chat .facts:not([hidden])');
                        const whole = await answer.textContent();
                        if (!kind.includes('cgi') || kind.includes('fastcgi'))
                                assert.ok(early.length < whole.length, `text grows: ${early}`);
                        assert.match(whole, /eleven twelve/);
                        assert.equal(await fact(page, 'chat', 'Provider'), 'slowly');
                        assert.equal(await fact(page, 'chat', 'Version'), '1');
                        assert.match(await fact(page, 'chat', 'Tokens'), /^\d+ in, \d+ out$/);
                        assert.match(await fact(page, 'chat', 'Cost'), /^0\.\d+ USD$/);
                        assert.match(await fact(page, 'chat', 'First token'), /s$/);
                        assert.match(await page.textContent('#code-text'), /^curl '.*\/chat'/);
                        await shot(page, 'chat-light');
                        await close();
                });
                it('goes on with a conversation, shows markup as text, and stops', async () => {
                        const { page, close } = await open('/');
                        await page.selectOption('#chat-model', 'echo');
                        for (const text of ['<img src=x onerror=alert(1)> & <b>bold</b>', "it's second"]) {
                                await page.fill('#chat-prompt', text);
                                await page.press('#chat-prompt', 'Enter');
                                await waitFor(async () => !(await page.isDisabled('#chat .main')), { what: 'the answer' });
                        }
                        assert.equal(await page.locator('#chat .talk li').count(), 4);
                        assert.equal(await page.locator('#chat .talk img, #chat .talk b').count(), 0);
                        assert.match(await page.locator('#chat .talk li').nth(1).textContent(), /<b>bold<\/b>/);
                        await page.selectOption('#chat-model', 'typist');
                        await page.fill('#chat-prompt', 'word '.repeat(200));
                        await page.click('#chat .main');
                        await page.click('#chat .stop');
                        assert.match(await page.locator('#chat .talk li.error').textContent(), /Stopped/);
                        await page.click('.again');
                        assert.equal(await page.locator('#chat .talk li').count(), 0);
                        await page.fill('#chat-prompt', "it's quoted");
                        assert.match(await page.textContent('#code-text'), /prompt=it'\\''s quoted/);
                        await page.click('[data-lang=python]');
                        assert.match(await page.textContent('#code-text'), /requests\.post/);
                        await page.click('[data-lang=html]');
                        assert.match(await page.textContent('#code-text'), /<form action=/);
                        await close();
                });
                it('asks about a photo', async () => {
                        const { page, close } = await open('/');
                        await page.click('#tab-vision');
                        await page.selectOption('#vision-model', 'echo');
                        await page.setInputFiles('#vision-image', { name: 'photo.png', mimeType: 'image/png', buffer: photo });
                        assert.ok(await page.isVisible('.drop img'));
                        await page.click('#vision .main');
                        await page.waitForSelector('#vision .facts:not([hidden])');
                        assert.match(await page.locator('#vision .talk li.assistant').textContent(), /image\/png|3.?x.?2|3 × 2|picture|image/i);
                        await shot(page, 'vision-light');
                        await close();
                });
                it('compares texts', async () => {
                        const { page, close } = await open('/', { colorScheme: 'dark' });
                        await page.click('#tab-embed');
                        await page.selectOption('#embed-model', 'echo');
                        await page.click('#embed .more');
                        await page.fill('#embed-4', 'The cat sat on the mat.');
                        await page.click('#embed .main');
                        await page.waitForSelector('.matrix td');
                        assert.equal(await page.locator('.matrix tbody tr').count(), 4);
                        const cell = (r, c) => page.locator('.matrix tbody tr').nth(r).locator('td').nth(c).textContent();
                        assert.equal(await cell(0, 0), '1.000');
                        assert.equal(await cell(0, 3), '1.000', 'the same text');
                        assert.notEqual(await cell(0, 2), '1.000');
                        await shot(page, 'embed-dark');
                        await close();
                });
                it('works with the keyboard alone', async () => {
                        const { page, close } = await open('/');
                        const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
                        for (let i = 0; i < 20 && await focused() !== 'tab-chat'; i++)
                                await page.keyboard.press('Tab');
                        assert.equal(await focused(), 'tab-chat');
                        await page.keyboard.press('ArrowRight');
                        assert.equal(await focused(), 'tab-vision');
                        assert.ok(await page.isVisible('#vision') && !(await page.isVisible('#chat')));
                        await page.keyboard.press('ArrowLeft');
                        for (let i = 0; i < 20 && await focused() !== 'chat-prompt'; i++)
                                await page.keyboard.press('Tab');
                        await page.keyboard.type('hello');
                        await page.keyboard.press('Enter');
                        await page.waitForSelector('#chat .facts:not([hidden])');
                        await close();
                });
                it('shows the numbers that the ledger holds', async () => {
                        for (let i = 0; i < 7; i++)
                                assert.equal((await postJson(`${url}/chat`, { model: 'echo', prompt: `number ${i}` })).status, 200);
                        const usage = async () => JSON.parse((await promisify(execFile)(path.join(buildDir, 'tollgate'), ['usage', '--by', 'model', '--since', '24h', '--json', '-c', config])).stdout);
                        let report;
                        await waitFor(async () => (report = await usage()).total.requests >= 7, { what: 'the rows' }).catch((e) => { console.log(server.errorLog().slice(-3000), report); throw e; });
                        const { page, close } = await open('/status');
                        await page.waitForSelector('#by-table tbody tr', { timeout: 8000 }).catch(async (e) => { console.log(await page.textContent('#problem'), server.errorLog().slice(-1500)); throw e; });
                        const all = await page.locator('#by-table tbody tr').last().locator('td').allTextContents();
                        await waitFor(async () => {
                                report = await usage();
                                await page.selectOption('#by', 'provider');
                                await page.selectOption('#by', 'model');
                                await sleepALittle();
                                const row = await page.locator('#by-table tbody tr').last().locator('td').allTextContents();
                                return Number(row[1]) === report.total.requests && Number(row[3]) === report.total.input;
                        }, { what: `the page's ${all} to be the ledger's` });
                        assert.equal(await page.locator('#charts svg').count(), 8);
                        assert.ok(await page.locator('#charts svg rect').count() > 0);
                        for (const line of report.lines) {
                                const row = await page.locator('#by-table tbody tr', { hasText: line.key }).first().locator('td').allTextContents();
                                assert.equal(row[0], line.key);
                                assert.equal(Number(row[1]), line.requests);
                        }
                        await page.locator('#charts details').first().locator('summary').click();
                        const cells = await page.locator('#charts table').first().locator('tbody tr td:nth-child(2)').allTextContents();
                        assert.equal(cells.reduce((n, c) => n + Number(c), 0), report.total.requests, 'the table below the chart');
                        await waitFor(async () => (await page.locator('#tiles dd').count()) >= 4, { what: 'what is now' });
                        await shot(page, 'status-light');
                        await close();
                });
                it('is as good in the dark, and on a phone', async () => {
                        const dark = await open('/status', { colorScheme: 'dark' });
                        await dark.page.waitForSelector('#by-table tbody tr');
                        await waitFor(async () => (await dark.page.locator('#targets tr').count()) > 0, { what: 'targets' });
                        await shot(dark.page, 'status-dark');
                        await dark.close();
                        for (const [where, name] of [['/', 'chat'], ['/status', 'status']]) {
                                const phone = await open(where, { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
                                if (where === '/status')
                                        await phone.page.waitForSelector('#by-table tbody tr');
                                const wide = await phone.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                                assert.ok(wide <= 0, `${name} is ${wide} pixels wider than a phone`);
                                await shot(phone.page, `${name}-phone`);
                                await phone.close();
                        }
                });
                it('works without JavaScript', async () => {
                        const { page, close } = await open('/', { javaScriptEnabled: false });
                        assert.ok(await page.isVisible('#chat') && await page.isVisible('#vision') && await page.isVisible('#embed'));
                        await page.selectOption('#chat-model', 'echo');
                        await page.fill('#chat-prompt', 'plain <form>');
                        await page.click('#chat .main');
                        assert.match(await page.textContent('.talk'), /plain <form>/);
                        assert.match(await page.textContent('.facts'), /Cost/);
                        await page.goto(`${url}/`);
                        await page.selectOption('#embed-model', 'echo');
                        await page.click('#embed .main');
                        assert.equal(await page.locator('.matrix tbody tr').count(), 3);
                        await page.goto(`${url}/`);
                        await page.selectOption('#vision-model', 'echo');
                        await page.setInputFiles('#vision-image', { name: 'photo.png', mimeType: 'image/png', buffer: photo });
                        await page.click('#vision .main');
                        await page.waitForSelector('.talk');
                        await shot(page, 'vision-no-script');
                        await close();
                });
        });
}

const sleepALittle = () => new Promise((resolve) => setTimeout(resolve, 400));
