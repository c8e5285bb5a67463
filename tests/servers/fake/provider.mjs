// One HTTP server that plays OpenAI, Anthropic and Gemini. It checks every request against what the provider's documents
// allow, answers what does not pass with that provider's own 400, and remembers it in `violations`; what passes is answered
// by script, framed as the provider frames it.
//
//   const fake = await startFake();
//   fake.script('gpt-4o', { text: 'Hello' });                 // by upstream model, or by a name given to base()
//   fake.script('gpt-4o', { status: 500 }, { text: 'Again' }) // one after the other; the last one stays
//
// A script: text | chunks | blocks: [{text|chunks}, {thinking}, {redacted: true}, {tool: {name, input, pieces?, arguments?}}, {refusal}],
// finish, usage {input, cached, cache_write, output, reasoning}, servedModel, interleaved, delay (ms between content frames),
// gates {n: promise} (awaited before content frame n), status + message + type + code + headers + body (an error), errorIn200,
// cut | stall | errorEvent | malformed: n (after n content frames), cut: 'connect' (before any byte), length: 'long' | 'short'
// (a wrong content-length), wait (ms before the answer begins), mute (ms between its headers and the rest), noEnd (a stream that
// is whole but for its last sign, [DONE] or message_stop), replay: 'openai/chat/openai-text.chunks.txt' (+ entry: n).
// noJson: an answer in one piece that is none. A status of 300 and more is an error; headers go on any answer (retry-after, x-ratelimit-*, location, ...).
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { anthropic } from './anthropic.mjs';
import { gemini, modelRules as geminiRules } from './gemini.mjs';
import { png } from './images.mjs';
import { openai } from './openai.mjs';

export const providers = { openai, anthropic, gemini };

const here = dirname(fileURLToPath(import.meta.url));
const recordings = join(process.env.TOLLGATE_SHARED ?? join(process.env.TOLLGATE_SRCDIR ?? join(here, '../../..'), '../shared'), 'real');

export const recording = (name) => join(recordings, name);
export const haveRecordings = existsSync(recordings);

// Headers that a gateway may send beside the provider's own.
const commonHeaders = ['host', 'content-type', 'content-length', 'accept', 'accept-encoding', 'user-agent', 'connection', 'transfer-encoding', 'expect'];

export const gate = () => {
        let open;
        const promise = new Promise((resolve) => (open = resolve));
        return { promise, open };
};

/* ---------------------------------------------------------------- embeddings */

// A vector of unit length that depends on the text alone, exact in 32 bits.
export const vector = (text, dimensions) => {
        let state = createHash('sha256').update(String(text)).digest().readUInt32LE(0) || 1;
        const v = Array.from({ length: dimensions }, () => {
                state ^= state << 13, state ^= state >>> 17, state ^= state << 5;
                return (state >>> 0) / 2 ** 31 - 1;
        });
        const length = Math.hypot(...v);
        return v.map((e) => Math.fround(e / length));
};

/* ---------------------------------------------------------------- scripts to plans */

const split = (text) => text.match(/\s*\S+|\s+$/g) ?? [text];
const cutUp = (text, size) => (text.length ? text.match(new RegExp(`[^]{1,${size}}`, 'gu')) : []);

const planTool = (b, provider, model) => {
        const json = b.tool.arguments ?? JSON.stringify(b.tool.input ?? {});
        return {
                ...b,
                tool: { id: b.tool.id ?? provider.callId(model), name: b.tool.name, arguments: json, pieces: b.tool.pieces ?? cutUp(json, 7) },
        };
};

const planBlock = (b, provider, model) => {
        if (b.tool)
                return planTool(b, provider, model);
        const key = ['text', 'thinking', 'refusal'].find((k) => b[k] !== undefined);
        if (key)
                return { ...b, chunks: b.chunks ?? split(b[key]) };
        return b.chunks ? { ...b, text: b.chunks.join('') } : b;
};

const sign = (plan, provider, model, issued) => {
        const issue = (b, on, more) => {
                b.signature = b.signature ?? randomBytes(96).toString('base64');
                issued.set(b.signature, { provider: provider.name, on, ...more });
        };
        if (provider === anthropic)
                for (const b of plan.blocks.filter((e) => e.thinking !== undefined || e.redacted))
                        issue(b, 'thinking', { text: b.thinking });
        if (provider !== gemini)
                return;
        const first = plan.blocks.find((b) => b.tool);
        if (first && first.sign !== false && geminiRules(model)?.signed)
                issue(first, 'call', { name: first.tool.name });
        for (const b of plan.blocks.filter((e) => e.text !== undefined && e.sign))
                issue(b, 'text', { text: b.text });
};

const makePlan = (script, provider, model, body, issued) => {
        const blocks = (script.blocks ?? [script.chunks ? { chunks: script.chunks } : { text: script.text ?? `This is ${model}.` }])
                .map((b) => planBlock(b, provider, model));
        const plan = {
                id: provider.id(), created: Math.floor(Date.now() / 1000), servedModel: script.servedModel ?? model, blocks,
                finish: script.finish ?? (blocks.some((b) => b.tool) ? 'tool' : blocks.some((b) => b.refusal) ? 'filter' : 'stop'),
                stopSequence: script.stopSequence ?? null, interleaved: script.interleaved ?? false,
                usage: { input: 17, output: 5 + blocks.length, ...script.usage },
        };
        if (provider === openai && plan.finish === 'filter' && !script.finish)
                plan.finish = 'stop';
        sign(plan, provider, model, issued);
        return plan;
};

/* ---------------------------------------------------------------- replaying recordings */

const replayOf = (script, provider, sse) => {
        const text = readFileSync(recording(script.replay), 'utf8');
        if (script.replay.endsWith('.chunks.txt')) {
                const frames = text.split('\n').filter(Boolean).map((line) => ({ bytes: provider.frameChunk(line), content: true }));
                return { stream: true, frames: [...frames, ...(provider.endOfRecording ? [{ bytes: provider.endOfRecording }] : [])] };
        }
        if (script.replay.includes('/recorded/')) {
                const { response } = JSON.parse(text)[script.entry ?? 0];
                const body = response.encoding === 'base64' ? Buffer.from(response.body, 'base64') : response.body;
                return { status: response.status, headers: response.headers, body };
        }
        return { status: 200, headers: {}, body: text, sse };
};

/* ---------------------------------------------------------------- the server */

export const startFake = async ({ lax = false, host = '127.0.0.1', port = 0 } = {}) => {
        const scripts = new Map();
        const issued = new Map();
        const sockets = new Set();
        const keys = {
                openai: `sk-proj-${randomBytes(24).toString('hex')}`, anthropic: `sk-ant-api03-${randomBytes(24).toString('hex')}`,
                gemini: `AIzaSy${randomBytes(17).toString('hex')}`,
        };
        // strangers: connections that spoke no HTTP (TLS, where the base says https).
        const fake = { requests: [], violations: [], fetched: [], strangers: 0, keys, issued, scripts };

        const scriptOf = (record) => {
                const queue = scripts.get(record.as) ?? scripts.get(record.model);
                const script = queue?.length > 1 ? queue.shift() : queue?.[0];
                return (typeof script === 'function' ? script(record) : script) ?? {};
        };

        const checkHeaders = (record, provider, out) => {
                const allowed = [...commonHeaders, ...provider.headers, ...provider.authHeaders, ...(fake.allowHeaders ?? [])];
                for (const name of Object.keys(record.headers))
                        if (!lax && !allowed.includes(name) && !provider.ownHeader?.(name, record.headers[name], record))
                                out.push({ path: `header ${name}`, message: 'must not reach a provider' });
                if (record.headers['content-type']?.split(';')[0] !== 'application/json')
                        out.push({ path: 'header content-type', message: `'${record.headers['content-type']}' is not application/json` });
                for (const name of record.query.keys())
                        if (!lax && !provider.query.includes(name))
                                out.push({ path: `query ${name}`, message: 'must not reach a provider' });
        };

        const parse = (record, out) => {
                try {
                        record.body = JSON.parse(record.raw);
                } catch (e) {
                        out.push({ path: 'body', message: `is no JSON: ${e.message}` });
                }
                if (record.raw !== Buffer.from(record.raw, 'utf8').toString('utf8'))
                        out.push({ path: 'body', message: 'is no UTF-8' });
        };

        const write = async (record, res, frames, script) => {
                let content = 0;
                for (const frame of frames) {
                        if (frame.content) {
                                await script.gates?.[content];
                                if (script.delay && content)
                                        await sleep(script.delay);
                        }
                        for (const [name, act] of Object.entries(faults))
                                if (script[name] === content && (content > 0 || frame.content))
                                        return act(record, res, script);
                        if (res.destroyed)
                                return;
                        record.sent.push({ at: Date.now(), content: frame.content });
                        res.write(frame.bytes);
                        content += frame.content ? 1 : 0;
                }
                res.end();
        };

        // What went before is read on its own: an error in the same bytes may well be acted on first.
        const pause = 80;
        // What still comes on a connection that is about to go was never served: the client will ask again elsewhere.
        const doom = (res, ms) => {
                res.socket.doomed = true;
                return sleep(ms).then(() => res.destroy());
        };
        const faults = {
                cut: (record, res) => {
                        res.flushHeaders();
                        return doom(res, pause);
                },
                stall: () => {},
                errorEvent: (record, res, script) => sleep(pause).then(() => res.end(record.provider.errorFrame(script.message ?? 'Overloaded'))),
                malformed: (record, res) => sleep(pause).then(() => res.end(record.provider.malformedFrame)),
        };

        // After the headers, before the rest.
        const mute = (res, script) => {
                if (!script.mute)
                        return null;
                res.flushHeaders();
                return sleep(script.mute);
        };

        const sendBody = async (record, res, status, headers, body, script) => {
                const bytes = Buffer.from(body);
                const wrong = { long: bytes.length + 64, short: Math.floor(bytes.length / 2) }[script.length];
                /* By its length it is whole, and the connection would be used again: nobody else's question is to be cut with it. */
                const last = script.length === 'short' ? { connection: 'close' } : {};
                res.writeHead(status, { ...headers, ...last, 'content-length': wrong ?? bytes.length });
                await mute(res, script);
                if (script.cut !== undefined || script.length === 'long') {
                        res.write(script.cut !== undefined ? bytes.subarray(0, bytes.length >> 1) : bytes);
                        return doom(res, 20);
                }
                if (script.stall !== undefined)
                        return res.write(bytes.subarray(0, 1));
                if (script.length === 'short') {
                        res.write(bytes.subarray(0, wrong));
                        return doom(res, 20);
                }
                record.sent.push({ at: Date.now(), content: true });
                res.end(bytes);
        };

        const sendJson = (record, res, status, json, script = {}) => sendBody(record, res, status, {
                'content-type': record.provider.contentType.json, ...record.provider.answerHeaders(record.id), ...script.headers,
        }, typeof json === 'string' ? json : JSON.stringify(json, null, record.provider.pretty), script);

        const sendError = (record, res, script) => sendJson(
                record, res, script.status, script.body ?? record.provider.error(script.status, script.message ?? 'The server had an error', script), script);

        const replay = (record, res, script) => {
                const { provider } = record;
                const found = replayOf(script, provider, record.sse);
                if (!found.stream)
                        return sendBody(record, res, found.status, { 'content-type': provider.contentType.json, ...found.headers }, found.body, script);
                res.writeHead(200, { 'content-type': provider.contentType.stream(true), ...provider.answerHeaders(record.id) });
                return write(record, res, found.frames, script);
        };

        const embed = (record, res, script) => {
                const { provider, route, body } = record;
                const inputs = provider.inputs(route, body);
                const dimensions = script.dimensions ?? provider.dimensions(route, body);
                const vectors = inputs.map((e) => vector(Array.isArray(e) ? e.join(' ') : e, dimensions));
                const tokens = script.usage?.input ?? inputs.reduce((n, e) => n + Math.ceil(e.length / 4), 0);
                return sendJson(record, res, 200, provider.embedReply(route, body, vectors, tokens), script);
        };

        const answer = async (record, res) => {
                const { provider, route, body } = record;
                const script = scriptOf(record);
                record.script = script;
                if (script.wait)
                        await sleep(script.wait);
                if (script.cut === 'connect')
                        return res.destroy();
                if (script.status >= 300)
                        return sendError(record, res, script);
                if (script.errorIn200)
                        return sendJson(record, res, 200, provider.errorIn200(script.message ?? 'Overloaded'), script);
                if (script.replay)
                        return replay(record, res, script);
                if (route.kind === 'embed')
                        return embed(record, res, script);
                const plan = makePlan(script, provider, record.model, body, issued);
                record.plan = plan;
                if (!record.stream)
                        return sendJson(record, res, 200, script.noJson ? '<html>oops' : provider.reply(plan, body), script);
                res.writeHead(200, { 'content-type': provider.contentType.stream(record.sse), ...provider.answerHeaders(record.id), ...script.headers });
                await mute(res, script);
                const frames = provider.frames(plan, body, route, record.sse);
                return write(record, res, script.noEnd ? frames.slice(0, frames.length - provider.endFrames) : frames, script);
        };

        const refuse = (record, res, found) => {
                record.violations.push(...found);
                fake.violations.push(...found.map((v) => ({ ...v, request: record.id, provider: record.provider.name, model: record.model })));
                return sendJson(record, res, 400, record.provider.violation(found[0]));
        };

        const handle = (record, res) => {
                const { provider } = record;
                const found = [];
                checkHeaders(record, provider, found);
                parse(record, found);
                record.model = record.route.model ?? provider.model(record.route, record.body);
                record.stream = provider.streams(record.route, record.body);
                record.sse = provider !== gemini || record.query.get('alt') === 'sse';
                record.key = provider.key(record.headers);
                if (record.key !== keys[provider.name]) {
                        fake.violations.push({ path: 'credentials', message: 'wrong or missing key', request: record.id, provider: provider.name });
                        return sendJson(record, res, provider.badKey ? 400 : 401, provider.badKey?.() ?? provider.error(401, 'invalid x-api-key'));
                }
                provider.check(record.route, record.body, { headers: record.headers, query: record.query, issued }, found);
                return found.length ? refuse(record, res, found) : answer(record, res);
        };

        const pictures = (url, req, res) => {
                fake.fetched.push({ path: url.pathname, headers: req.headers });
                const picture = { '/images/photo.png': png(7, 5), '/images/liar.jpg': png(4, 4), '/images/page.html': '<p>no image</p>' }[url.pathname];
                if (url.pathname === '/images/redirect')
                        return res.writeHead(302, { location: url.searchParams.get('to') }).end();
                if (!picture)
                        return res.writeHead(404).end();
                res.writeHead(200, { 'content-type': /html/.test(url.pathname) ? 'image/png' : 'image/jpeg', 'content-length': picture.length }).end(picture);
        };

        const server = createServer({ keepAliveTimeout: 60000, requestTimeout: 0 }, (req, res) => {
                if (req.socket.doomed)
                        return;
                const url = new URL(req.url, 'http://fake');
                const named = /^\/as\/([^/]+)(\/.*)$/.exec(url.pathname);
                const path = named ? named[2] : url.pathname;
                if (path.startsWith('/images/'))
                        return pictures(url, req, res);
                const provider = Object.values(providers).find((p) => p.route(path, lax));
                const record = {
                        id: randomBytes(8).toString('hex'), as: named?.[1], path, url: req.url, method: req.method, headers: req.headers, query: url.searchParams,
                        provider, route: provider?.route(path, lax), at: Date.now(), aborted: null, finished: null, sent: [], violations: [],
                };
                fake.requests.push(record);
                res.on('close', () => (res.writableFinished ? (record.finished = Date.now()) : (record.aborted = Date.now())));
                res.on('error', () => {});
                const chunks = [];
                req.on('data', (c) => chunks.push(c));
                req.on('end', () => {
                        record.raw = Buffer.concat(chunks).toString('utf8');
                        if (!provider || req.method !== 'POST') {
                                fake.violations.push({ path: req.url, message: `${req.method} of an unknown path`, request: record.id });
                                return res.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"message":"not found"}}');
                        }
                        Promise.resolve(handle(record, res)).catch((e) => {
                                fake.violations.push({ path: 'fake', message: `the fake itself failed: ${e.stack}` });
                                res.destroy();
                        });
                });
        });
        server.on('clientError', (error, socket) => {
                fake.strangers++;
                socket.destroy();
        });
        server.on('connection', (s) => {
                s.setNoDelay(true);
                sockets.add(s);
                s.on('close', () => sockets.delete(s));
        });
        await new Promise((resolve, reject) => server.once('error', reject).listen(port, host, resolve));

        fake.port = server.address().port;
        fake.url = `http://${host}:${fake.port}`;
        // The base of a provider; with a name, its own scripts go by that name.
        fake.base = (dialect, as) => `${fake.url}${as ? `/as/${as}` : ''}${dialect === 'openai' ? '/v1' : ''}`;
        fake.script = (name, ...list) => scripts.set(name, list);
        fake.last = (name) => fake.requests.findLast((r) => r.provider && (!name || r.model === name || r.as === name));
        fake.reset = () => {
                scripts.clear();
                fake.requests.length = fake.violations.length = fake.fetched.length = 0;
                fake.strangers = 0;
        };
        // Waits until the predicate of no arguments gives something; null when it did not within ms.
        fake.until = async (predicate, ms = 2000) => {
                for (const end = Date.now() + ms; ;) {
                        const found = predicate();
                        if (found || Date.now() > end)
                                return found || null;
                        await sleep(10);
                }
        };
        fake.stop = () => new Promise((resolve) => {
                server.close(resolve);
                sockets.forEach((s) => s.destroy());
        });
        return fake;
};
