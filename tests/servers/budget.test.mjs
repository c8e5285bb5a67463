// Money over real servers: a hard budget that no number of processes passes, a balance, soft budgets, alerts, and how refusals look.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { query, tollgate } from './books.mjs';
import { ownFolder, skipReason, sleep, tmpFolder, waitFor, writeFile } from './harness.mjs';
import { postJson } from './gate.mjs';
import { account, model, question, startWorld } from './storm.mjs';

const skip = skipReason('lighttpd-fastcgi') || skipReason('lighttpd-cgi');
const procs = 4, pico = 1_000_000_000_000n;
/* Millionths per million tokens: a request of 100 and 200 tokens costs 0.0021 USD. */
const price = { input: 1.0, output: 10.0 };
const usage = { input: 100, output: 200 };
const costPico = BigInt(usage.input) * 1_000_000n + BigInt(usage.output) * 10_000_000n;
const max = 400;

describe('money, over several processes', { skip, concurrency: false }, () => {
        let w, told;
        const accounts = [
                account('hard', { budget: { day: 0.6, currency: 'USD', alert: [0.5, 0.999], hard: true } }),
                account('euro', { budget: { month: 0.1, currency: 'EUR', alert: [0.25], hard: true } }),
                account('soft', { budget: { day: 0.004, currency: 'USD', hard: false } }),
                account('paid'), account('free'),
        ];
        const ask = (name, more = {}) => question(w.servers[0], w.key[name], more.model ?? 'm', { max, ...more });
        const spent = (name) => query(w.config.ledger, 'SELECT charge_pico AS n FROM requests WHERE account = ?', name).reduce((sum, r) => sum + BigInt(r.n), 0n);
        const budget = async (name) => JSON.parse((await tollgate(w.config, 'status', '--json')).stdout).budgets.find((b) => b.account === name);
        /* So many clients at once, until the budget refuses each of them several times in a row. */
        const storm = async (name, clients) => {
                let granted = 0, most = 0;
                const one = async () => {
                        for (let refused = 0; refused < 4;) {
                                const r = await ask(name);
                                assert.ok([200, 429].includes(r.status), `${r.status}: ${r.text}`);
                                if (r.status === 200) {
                                        granted++;
                                        refused = 0;
                                        assert.match(r.headers['x-tollgate-cost'], /^0\.0021$/);
                                        continue;
                                }
                                assert.equal(JSON.parse(r.text).error.code, 'insufficient_quota');
                                assert.equal(r.headers['x-should-retry'], 'false');
                                refused++;
                                await sleep(20 + Math.random() * 60);
                        }
                };
                const watch = setInterval(() => { const n = Number(spent(name)); most = Math.max(most, n); }, 200);
                await Promise.all(Array.from({ length: clients }, one));
                clearInterval(watch);
                return { granted };
        };
        before(async () => {
                const folder = ownFolder(path.join(tmpFolder('tollgate-alert-'), 'told'));
                told = path.join(folder, 'lines');
                const command = writeFile(path.join(folder, 'tell'), `#!/bin/sh\necho "$TOLLGATE_ACCOUNT $TOLLGATE_PERIOD $TOLLGATE_SHARE $TOLLGATE_CURRENCY" >>'${told}'\n`, 0o755);
                chmodSync(command, 0o755);
                w = await startWorld({
                        accounts, servers: [['lighttpd-fastcgi', { procs }], ['lighttpd-cgi', {}]],
                        settings: { prices: [{ model: 'up-m', ...price }], rates: [{ currency: 'EUR', per_usd: 0.9 }], alerts: { command } },
                        models: [model('m', [{ provider: 'openai', model: 'up-m' }]), model('unpriced', [{ provider: 'openai', model: 'up-unpriced' }])],
                });
                w.fake.script('up-m', () => ({ text: 'Well', usage, wait: 20 }));
                w.fake.script('up-unpriced', () => ({ text: 'Well', usage }));
        });
        after(() => w?.stop());

        test('128 at once never pass a hard budget, and use most of it', async () => {
                const { granted } = await storm('hard', 128);
                await waitFor(() => spent('hard') >= BigInt(granted) * costPico, { what: 'the rows' });
                const limit = pico * 6n / 10n, sum = spent('hard');
                assert.equal(sum, BigInt(granted) * costPico, 'the ledger says what the provider served');
                assert.ok(sum <= limit, `${sum} of ${limit}`);
                assert.ok(sum > limit * 9n / 10n, `${sum} of ${limit}: the rest is less than one request may cost`);
                const b = await budget('hard');
                assert.equal(b.day.limit, '0.6');
                assert.equal(BigInt(Math.round(Number(b.day.used) * 1e12)), sum, 'nothing stays set aside');
                console.log(`# figure: hard budget of 0.6 USD under 128 callers over 4 processes: ${(Number(sum) / 1e12).toFixed(4)} USD spent, in ${granted} requests`);
        });
        test('an alert is given once for each share', async () => {
                await waitFor(() => existsSync(told) && readFileSync(told, 'utf8').includes('hard'), { ms: 40000, what: 'the alert' });
                await sleep(1500);
                const lines = readFileSync(told, 'utf8').split('\n').filter((l) => l.startsWith('hard'));
                assert.deepEqual(lines, ['hard day 0.5 USD'], 'the whole was never spent');
        });
        test('a budget in another currency is one of its own money', async () => {
                const { granted } = await storm('euro', 16);
                await waitFor(() => query(w.config.ledger, 'SELECT count(*) AS n FROM requests WHERE account = ? AND attempts > 0', 'euro')[0].n === granted, { what: 'the rows' });
                const rows = query(w.config.ledger, 'SELECT DISTINCT currency, charge_currency, cost_pico, charge_pico FROM requests WHERE account = ? AND attempts > 0', 'euro');
                assert.deepEqual(rows, [{ currency: 'USD', charge_currency: 'EUR', cost_pico: Number(costPico), charge_pico: Number(costPico * 9n / 10n) }]);
                assert.ok(spent('euro') <= pico / 10n);
        });
        test('refusals say what is used up, in each dialect', async () => {
                const url = w.servers[0].baseUrl, key = w.key.hard, headers = { authorization: `Bearer ${key}` };
                const openai = await postJson(`${url}/v1/chat/completions`, { model: 'm', max_tokens: 100000, messages: [{ role: 'user', content: 'x' }] }, headers);
                assert.equal(openai.status, 429);
                assert.equal(openai.json.error.type, 'insufficient_quota');
                assert.match(openai.json.error.message, /budget of 0\.6 USD a day .* may cost up to 1\.\d+ USD .*begins anew/);
                assert.match(openai.headers['retry-after'], /^\d+$/);
                const anthropic = await postJson(`${url}/v1/messages`, { model: 'm', max_tokens: 100000, messages: [{ role: 'user', content: 'x' }] }, { ...headers, 'anthropic-version': '2023-06-01' });
                assert.equal(anthropic.status, 429);
                assert.equal(anthropic.json.error.type, 'rate_limit_error');
                const gemini = await postJson(`${url}/v1beta/models/m:generateContent`, { contents: [{ role: 'user', parts: [{ text: 'x' }] }], generationConfig: { maxOutputTokens: 100000 } }, headers);
                assert.equal(gemini.status, 429);
                assert.equal(gemini.json.error.status, 'RESOURCE_EXHAUSTED');
                const plain = await postJson(`${url}/chat`, { model: 'm', max_tokens: 100000, prompt: 'x' }, headers);
                assert.equal(plain.json.error.code, 'insufficient_quota');
        });
        test('what has no price, or no bound, is refused where a budget is hard', async () => {
                const unpriced = await ask('hard', { model: 'unpriced' });
                assert.equal(unpriced.status, 429);
                assert.match(JSON.parse(unpriced.text).error.message, /not known/);
                assert.equal((await ask('free', { model: 'unpriced' })).status, 200);
                await waitFor(() => query(w.config.ledger, 'SELECT priced FROM requests WHERE account = ?', 'free')[0]?.priced === 0, { what: 'its row' });
        });
        test('a soft budget refuses nothing', async () => {
                for (let i = 0; i < 4; i++)
                        assert.equal((await ask('soft')).status, 200);
        });
        test('a prepaid account spends its balance and no more, topped up while it runs', async () => {
                assert.equal((await ask('paid')).status, 200, 'before it is prepaid');
                const topped = await tollgate(w.config, 'topup', 'paid', '0.05', 'USD', '--note', 'a test', '--json');
                assert.equal(JSON.parse(topped.stdout)[0].topped_up, '0.05');
                await sleep(1500);
                const { granted } = await storm('paid', 32);
                assert.ok(granted >= 15 && granted <= 23, `${granted} requests of 0.0021 USD`);
                await waitFor(async () => JSON.parse((await tollgate(w.config, 'balance', 'paid', '--json')).stdout)[0].spent === String(Number((granted * 0.0021).toFixed(4))), { what: 'the balance' });
                const refused = await ask('paid');
                assert.match(JSON.parse(refused.text).error.message, /balance of 0\.\d+ USD does not cover/);
                assert.equal(refused.headers['retry-after'], undefined);
                await tollgate(w.config, 'topup', 'paid', '1', 'USD');
                assert.equal((await ask('paid')).status, 200, 'at once');
                const cgi = await question(w.servers[1], w.key.paid, 'm', { max });
                assert.equal(cgi.status, 200, cgi.text);
        });
        test('the plain answer tells the cost', async () => {
                const r = await postJson(`${w.servers[0].baseUrl}/chat`, { model: 'm', prompt: 'Hello', max_tokens: 400 }, { authorization: `Bearer ${w.key.free}` });
                assert.deepEqual(r.json.cost, { amount: '0.0021', currency: 'USD' });
                const s = await postJson(`${w.servers[0].baseUrl}/chat`, { model: 'm', prompt: 'Hello', max_tokens: 400, stream: true }, { authorization: `Bearer ${w.key.free}` });
                assert.deepEqual(JSON.parse(s.text.match(/event: done\ndata: (.*)/)[1]).cost, { amount: '0.0021', currency: 'USD' });
        });
        test('a month is invoiced', async () => {
                const month = new Date().toISOString().slice(0, 7);
                const draft = JSON.parse((await tollgate(w.config, 'invoice', 'hard', '--month', month, '--json')).stdout);
                assert.ok(draft.draft && draft.number === null);
                const issued = JSON.parse((await tollgate(w.config, 'invoice', 'hard', '--month', month, '--final', '--tax', '19', '--json')).stdout);
                assert.equal(issued.number, 1);
                assert.equal(BigInt(Math.round(Number(issued.exact) * 1e12)), spent('hard'));
                const other = JSON.parse((await tollgate(w.config, 'invoice', 'euro', '--month', month, '--final', '--json')).stdout);
                assert.equal(other.number, 2);
                assert.equal(other.currency, 'EUR');
                assert.match((await tollgate(w.config, 'invoice', 'hard', '--month', month, '--format', 'html')).stdout, /<h1>Invoice 1<\/h1>/);
        });
});
