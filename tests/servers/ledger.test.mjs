// The ledger over real servers: one row for each request of a known account, with what is known of it, however it ended.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { query, rowOf, tollgate } from './books.mjs';
import { callerKey, sha256 } from './config.mjs';
import { gate } from './fake/provider.mjs';
import { openStream } from './gate.mjs';
import { isCgi, signal, sleep, waitFor } from './harness.mjs';
import { call, eachServer } from './suite.mjs';

const recordedKey = `tg-${randomBytes(24).toString('base64url')}`, slowKey = `tg-${randomBytes(24).toString('base64url')}`, hardKey = `tg-${randomBytes(24).toString('base64url')}`;
const options = {
        settings: { prices: [{ model: 'gpt-4o', input: 2.5, output: 10.0 }, { model: 'claude-sonnet-4-6', input: 3.0, output: 15.0 }] },
        accounts: [
                { name: 'recorded', keys: [{ name: 'k', sha256: sha256(recordedKey) }], models: ['*'], record: 'full' },
                { name: 'slow', keys: [{ name: 'k', sha256: sha256(slowKey) }], models: ['*'], limits: { rpm: 1 } },
                { name: 'hard', keys: [{ name: 'k', sha256: sha256(hardKey) }], models: ['*'], budget: { day: 5.0, hard: true } },
        ],
};
let count = 0;
const named = () => ({ 'x-request-id': `test-${process.pid}-${++count}` });
const text = 'Hello there';
const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const messages = [{ role: 'user', content: text }];

// What each dialect asks: [path, body, model, its endpoint in the row].
const asks = {
        openai: (model, stream) => ['/v1/chat/completions', { model, messages, stream }, '/v1/chat/completions'],
        anthropic: (model, stream) => ['/v1/messages', { model, messages, max_tokens: 50, stream }, '/v1/messages'],
        gemini: (model, stream) => [`/v1beta/models/${model}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
                { contents: [{ role: 'user', parts: [{ text }] }] }, `/v1beta/models/{}:${stream ? 'streamGenerateContent' : 'generateContent'}`],
        plain: (model, stream) => ['/chat', { model, prompt: text, stream }, '/chat'],
};

eachServer('ledger', options, (s) => {
        const row = (headers) => rowOf(s.config.ledger, headers['x-request-id']);
        const ask = async (path, body, more = {}) => {
                const headers = { ...named(), ...more.headers };
                const r = await call(s, path, { ...more, body, headers });
                return { ...r, headers, answer: r.headers };
        };

        describe('a row for each request', () => {
                for (const [dialect, make] of Object.entries(asks))
                        for (const stream of [false, true])
                                test(`${dialect}, ${stream ? 'streaming' : 'whole'}`, async () => {
                                        s.fake.script('gpt-4o', { text: 'one two three', usage: { input: 100, cached: 20, output: 30, reasoning: 4 } });
                                        const [path, body, endpoint] = make('gpt', stream), from = Date.now();
                                        const r = await ask(path, body);
                                        assert.equal(r.status, 200, r.text);
                                        const got = await row(r.headers), upstream = s.fake.last('gpt-4o');
                                        const expected = {
                                                account: 'suite', user: 'k', identity: 'key', endpoint, dialect, model: 'gpt', version: '1', provider: 'openai', upstream_model: 'gpt-4o',
                                                outcome: 'ok', status: 200, error: null, stream: Number(stream), cache_hit: 0, attempts: 1, retries: 0, rescues: 0, hedges: 0,
                                                input: 100, cached: 20, output: 30, reasoning: 4, images: 0, estimated: 0, priced: 1, currency: 'USD', charge_currency: 'USD',
                                                cost_pico: 100 * 2500000 + 30 * 10000000, charge_pico: 100 * 2500000 + 30 * 10000000, trace: null,
                                        };
                                        for (const [name, value] of Object.entries(expected))
                                                assert.equal(got[name], value, name);
                                        assert.equal(got.upstream_request_id, upstream ? got.upstream_request_id : null);
                                        assert.ok(got.time_ms >= from - 2000 && got.time_ms <= Date.now() + 2000, `${got.time_ms}`);
                                        assert.ok(got.total_ms >= 0 && got.total_ms < 60000);
                                        assert.equal(got.tries.length, 1);
                                        for (const [name, value] of Object.entries({ n: 1, provider: 'openai', upstream_model: 'gpt-4o', kind: 'first', outcome: 'ok', input: 100, output: 30, cost_pico: expected.cost_pico }))
                                                assert.equal(got.tries[0][name], value, `attempt: ${name}`);
                                });

                test('embeddings', async () => {
                        const r = await ask('/v1/embeddings', { model: 'embed-gpt', input: ['one', 'two'] });
                        assert.equal(r.status, 200, r.text);
                        const got = await row(r.headers);
                        assert.deepEqual([got.endpoint, got.dialect, got.outcome, got.attempts, got.output], ['/v1/embeddings', 'openai', 'ok', 1, 0]);
                        assert.ok(got.input > 0);
                });

                test('images are counted', async () => {
                        const image = { type: 'image_url', image_url: { url: `data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==` } };
                        const r = await ask('/v1/chat/completions', { model: 'echo', messages: [{ role: 'user', content: [{ type: 'text', text }, image, image] }] });
                        assert.equal(r.status, 200, r.text);
                        assert.equal((await row(r.headers)).images, 2);
                });
        });

        describe('an id', () => {
                test('made here leads to its row', async () => {
                        const r = await call(s, '/v1/chat/completions', { body: { model: 'gpt', messages } });
                        const id = r.headers.get('x-request-id');
                        assert.match(id, /^tg-[0-9a-f]{32}$/);
                        const got = await rowOf(s.config.ledger, id);
                        assert.equal(BigInt(`0x${id.slice(-16)}`), BigInt(got.id));
                        const { stdout } = await tollgate(s.config, 'show', id);
                        assert.match(stdout, /gpt-4o/);
                });

                test('of the caller may come twice', async () => {
                        const headers = named();
                        for (let i = 0; i < 2; i++)
                                assert.equal((await call(s, '/v1/chat/completions', { body: { model: 'gpt', messages }, headers })).status, 200);
                        await waitFor(() => query(s.config.ledger, 'SELECT id FROM requests WHERE request_id = ?', headers['x-request-id']).length === 2, { what: 'two rows', ms: 30000 });
                });
        });

        describe('a request that fails', () => {
                test('is refused for its body', async () => {
                        const r = await ask('/v1/chat/completions', { model: 'gpt', messages: 'none' });
                        assert.equal(r.status, 400);
                        const got = await row(r.headers);
                        assert.deepEqual([got.outcome, got.status, got.error, got.attempts, got.cost_pico, got.tries.length], ['error', 400, 'bad_request', 0, 0, 0]);
                });
                test('asks for what is not there', async () => {
                        const r = await ask('/v1/chat/completions', { model: 'gpt@1970', messages });
                        assert.equal(r.status, 404);
                        const got = await row(r.headers);
                        assert.deepEqual([got.outcome, got.status, got.error, got.model, got.version], ['error', 404, 'model_not_found', 'gpt', '1970']);
                });
                test('is over the account\'s limit', async () => {
                        let r;
                        for (let i = 0; i < 2; i++)
                                r = await ask('/chat', { model: 'echo', prompt: text }, { key: slowKey });
                        assert.equal(r.status, 429, r.text);
                        const got = await row(r.headers);
                        assert.deepEqual([got.account, got.outcome, got.status, got.error, got.attempts], ['slow', 'error', 429, 'rate_limit_exceeded', 0]);
                });
                test('costs more than the budget has', async () => {
                        s.fake.script('gpt-4o', { text: 'fine' });
                        const r = await ask('/v1/chat/completions', { model: 'gpt', messages, max_tokens: 16000, n: 1 }, { key: hardKey });
                        assert.equal(r.status, 200, r.text);
                        assert.equal((await row(r.headers)).outcome, 'ok');
                        const more = await ask('/v1/chat/completions', { model: 'claude-new', messages, max_tokens: 16000 }, { key: hardKey });
                        assert.equal((await row(more.headers)).status, more.status);
                });
                test('is refused by the provider, and tried again', async () => {
                        s.fake.script('gpt-4o', { status: 500 }, { text: 'Again', usage: { input: 9, output: 2 } });
                        const r = await ask('/v1/chat/completions', { model: 'gpt', messages });
                        assert.equal(r.status, 200, r.text);
                        const got = await row(r.headers);
                        assert.deepEqual([got.outcome, got.attempts, got.retries], ['ok', 2, 1]);
                        assert.deepEqual(got.tries.map((t) => [t.n, t.outcome, t.status]), [[1, 'error', 500], [2, 'ok', got.tries[1].status]]);
                        s.fake.script('gpt-4o', { status: 400, message: 'No such thing' });
                        const bad = await ask('/v1/chat/completions', { model: 'gpt', messages });
                        const row2 = await row(bad.headers);
                        assert.deepEqual([row2.outcome, row2.status, row2.error, row2.attempts], ['error', bad.status, 'provider_refused', 1]);
                        await s.forget();
                });
        });

        test('who is not known leaves no row, nor does what asks no model', async () => {
                const before = query(s.config.ledger, 'SELECT count(*) AS n FROM requests')[0].n, headers = named();
                assert.equal((await call(s, '/v1/chat/completions', { body: { model: 'gpt', messages }, key: 'tg-wrong', headers })).status, 401);
                assert.equal((await call(s, '/v1/models', { headers })).status, 200);
                assert.equal((await call(s, '/healthz', { headers, key: null })).status, 200);
                assert.equal((await call(s, '/v1/nothing', { body: {}, headers })).status, 404);
                const r = await ask('/v1/chat/completions', { model: 'gpt', messages });
                await row(r.headers);
                const after = query(s.config.ledger, 'SELECT count(*) AS n FROM requests')[0].n;
                /* Rows of earlier tests are all there: each waited for its own. */
                assert.equal(after, before + 1);
                assert.equal(query(s.config.ledger, 'SELECT * FROM requests WHERE request_id = ?', headers['x-request-id']).length, 0);
        });

        test('a traceparent is kept and passed on where it is one', async () => {
                s.fake.allowHeaders = ['traceparent'];
                const r = await ask('/v1/chat/completions', { model: 'gpt', messages }, { headers: { traceparent: trace } });
                assert.equal((await row(r.headers)).trace, trace);
                assert.equal(s.fake.last('gpt-4o').headers.traceparent, trace);
                assert.match(s.server.errorLog(), new RegExp(`${r.headers['x-request-id']}.* trace=${trace}`));
                const bad = await ask('/v1/chat/completions', { model: 'gpt', messages }, { headers: { traceparent: trace.toUpperCase() } });
                assert.equal(bad.status, 200);
                assert.equal((await row(bad.headers)).trace, null);
                assert.equal(s.fake.last('gpt-4o').headers.traceparent, undefined);
                delete s.fake.allowHeaders;
        });

        /* One that is under way, with a word of its answer there. */
        const begin = async (headers, key = callerKey) => {
                const held = gate();
                s.fake.script('gpt-4o', { chunks: ['one ', 'two ', 'three '], gates: { 1: held.promise }, usage: { input: 40, output: 3 } });
                const stream = await openStream(`${s.url}/v1/chat/completions`, { model: 'gpt', messages, stream: true }, { authorization: `Bearer ${key}`, ...headers });
                await stream.until('one');
                return { stream, held };
        };

        test('a client that leaves', async () => {
                const headers = named(), { stream, held } = await begin(headers);
                stream.close();
                const got = await row(headers);
                held.open();
                /* lighttpd ends a CGI program whose client has gone. */
                assert.ok(got.outcome === 'left' || (isCgi(s.kind) && got.outcome === 'interrupted'), got.outcome);
                assert.deepEqual([got.attempts, got.stream, got.model, got.estimated], [1, 1, 'gpt', 1]);
                assert.ok(got.input > 0 && got.output > 0 && got.cost_pico > 0, `${got.input} ${got.output} ${got.cost_pico}`);
        });

        /* systemd would start another one there; spawn-fcgi does not. */
        test('a process that is killed', { skip: s.kind === 'apache-proxy-fcgi' && 'nobody starts the next process' }, async () => {
                const headers = named(), { stream, held } = await begin(headers);
                await sleep(1300); /* progress is noted once a second */
                const pids = s.server.responderPids();
                assert.ok(pids.length > 0);
                for (const pid of pids)
                        signal(pid, 'SIGKILL');
                await stream.rest().catch(() => {});
                held.open();
                s.fake.script('gpt-4o', { text: 'fine' });
                /* The next process books it, once the server has started one. */
                await waitFor(async () => (await call(s, '/v1/chat/completions', { body: { model: 'gpt', messages } })).status === 200, { what: 'an answer', ms: 30000, every: 300 });
                const got = await row(headers);
                assert.deepEqual([got.outcome, got.attempts, got.estimated, got.stream], ['interrupted', 1, 1, 1]);
                assert.deepEqual(got.tries.map((t) => [t.n, t.outcome, t.provider]), [[1, 'interrupted', 'openai']]);
                assert.ok(got.input > 0 && got.output > 0 && got.cost_pico > 0);
                assert.equal(query(s.config.ledger, 'SELECT * FROM requests WHERE request_id = ?', headers['x-request-id']).length, 1);
        });

        test('record = "full"', async () => {
                const folder = `${s.config.ledger}-record`;
                s.fake.script('gpt-4o', { text: 'a secret answer', usage: { input: 4, output: 2 } });
                const whole = await ask('/v1/chat/completions', { model: 'gpt', messages: [{ role: 'user', content: 'a secret question' }] }, { key: recordedKey });
                const streamed = await ask('/v1/chat/completions', { model: 'gpt', stream: true, messages }, { key: recordedKey });
                const refused = await ask('/v1/chat/completions', { model: 'gpt' }, { key: recordedKey });
                assert.deepEqual([whole.status, streamed.status, refused.status], [200, 200, 400]);
                await ask('/v1/chat/completions', { model: 'gpt', messages });
                await row(refused.headers);
                const files = readdirSync(folder);
                assert.ok(files.length >= 1 && files.every((f) => /^recorded-\d{4}-\d\d-\d\d\.jsonl$/.test(f)), files.join());
                assert.equal(statSync(folder).mode & 0o777, 0o700);
                assert.ok(files.every((f) => (statSync(path.join(folder, f)).mode & 0o777) === 0o600));
                const all = files.map((f) => readFileSync(path.join(folder, f), 'utf8')).join('');
                assert.ok(!all.includes(recordedKey) && !all.includes(s.fake.keys.openai), 'no credentials');
                const lines = new Map(all.trim().split('\n').map((l) => JSON.parse(l)).map((l) => [l.request_id, l]));
                assert.equal(lines.size, 3);
                for (const r of [whole, streamed, refused]) {
                        const line = lines.get(r.headers['x-request-id']);
                        assert.equal(line.account, 'recorded');
                        assert.equal(line.status, r.status);
                        assert.equal(line.answer.replace(/^:.*\n\n/gm, ''), r.text.replace(/^:.*\n\n/gm, ''));
                }
                assert.match(lines.get(whole.headers['x-request-id']).request, /a secret question/);
        });

        test('prompts and answers are nowhere else', async () => {
                s.fake.script('gpt-4o', { text: 'flamingo answers' });
                const r = await ask('/v1/chat/completions', { model: 'gpt', messages: [{ role: 'user', content: 'pelican asks' }] });
                await row(r.headers);
                await sleep(500);
                const at = path.dirname(s.config.ledger);
                const files = readdirSync(at, { recursive: true }).map((f) => path.join(at, String(f))).filter((f) => existsSync(f) && statSync(f).isFile() && !f.includes('-record/'));
                assert.ok(files.length >= 2);
                for (const f of files) {
                        const bytes = readFileSync(f);
                        assert.ok(!bytes.includes('flamingo') && !bytes.includes('pelican') && !bytes.includes(callerKey), f);
                        assert.equal(statSync(f).mode & 0o077, 0, `${f} is the owner's alone`);
                }
        });
});
