/*
 * What the tests over real servers share: configurations, keys, plain HTTP without any client library's help, and a
 * provider whose stream is let go event by event.
 */
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import path from 'node:path';
import { tmpFolder, writeFile } from './harness.mjs';

/* An API key and its row for an account's `keys`. */
export function newKey(name) {
        const key = `tg_${randomBytes(24).toString('hex')}`;
        return { key, row: `{ name = "${name}"; sha256 = "${createHash('sha256').update(key).digest('hex')}"; }` };
}

export function model(name, targets, tasks = ['chat', 'vision', 'embed'], more = '') {
        return `{ name = "${name}"; tasks = [${tasks.map((t) => `"${t}"`).join(', ')}]; versions = ( { name = "1"; ${more}
                targets = ( ${targets.map(([provider, id]) => `{ provider = "${provider}"; model = "${id}"; }`).join(', ')} ); } ); }`;
}

/* A whole tollgate.conf: echo as the provider "local" and the model "echo", and what is given. */
export function configText({ settings = '', providers = [], models = [], accounts }) {
        /* Most of these tests count nothing: no ledger, unless they name one. */
        return `version = 1;
${settings}
${/\bledger\s*=/.test(settings) ? '' : 'ledger = "";'}
providers = ( ${['{ name = "local"; dialect = "echo"; }', ...providers].join(',\n  ')} );
models = ( ${[model('echo', [['local', 'echo']]), ...models].join(',\n  ')} );
accounts = ( ${(accounts ?? ['{ name = "public"; models = ["echo"]; }']).join(',\n  ')} );
`;
}

/* A folder for a test's configuration and secrets: { folder, file(name, text) }. */
export function configFolder() {
        const folder = tmpFolder('tollgate-conf-');
        return { folder, file: (name, text) => writeFile(path.join(folder, name), text) };
}

/*
 * One request: { status, headers, text, json }. `body`: a string or buffer (with its length), or an array of them (chunked,
 * with no length). An answer that comes before the body is sent counts. `localAddress`: where it comes from.
 */
export function request(url, { method, headers = {}, body, localAddress } = {}) {
        return new Promise((resolve, reject) => {
                const chunked = Array.isArray(body);
                const length = body === undefined || chunked ? {} : { 'content-length': Buffer.byteLength(body) };
                let answered = false;
                const out = http.request(url, { agent: false, localAddress, method: method ?? (body === undefined ? 'GET' : 'POST'),
                                                headers: { ...length, ...headers } }, (answer) => {
                        answered = true;
                        const parts = [];
                        answer.on('data', (bytes) => parts.push(bytes));
                        answer.on('error', reject);
                        answer.on('end', () => {
                                const text = Buffer.concat(parts).toString();
                                resolve({ status: answer.statusCode, headers: answer.headers, text, get json() { return JSON.parse(text); } });
                        });
                });
                out.on('error', (error) => { if (!answered) reject(error); });
                out.setTimeout(60000, () => out.destroy(new Error(`no answer from ${url}`)));
                for (const part of chunked ? body : [])
                        out.write(part);
                out.end(chunked ? undefined : body);
        });
}

export const postJson = (url, value, headers = {}, more = {}) =>
        request(url, { ...more, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) });

/* A streaming request: { status, headers, next() → text of the next piece or null at the end, rest(), close() }. */
export function openStream(url, value, headers = {}) {
        return new Promise((resolve, reject) => {
                const body = JSON.stringify(value);
                const out = http.request(url, { agent: false, method: 'POST', headers: {
                        'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers } }, (answer) => {
                        const pieces = answer[Symbol.asyncIterator]();
                        const next = async () => {
                                const { value: bytes, done } = await pieces.next();
                                return done ? null : bytes.toString();
                        };
                        resolve({
                                status: answer.statusCode, headers: answer.headers, next,
                                async until(text) {
                                        let seen = '';
                                        for (let piece; !seen.includes(text);) {
                                                if ((piece = await next()) === null)
                                                        throw new Error(`the stream ended before ${JSON.stringify(text)}: ${seen}`);
                                                seen += piece;
                                        }
                                        return seen;
                                },
                                async rest() {
                                        let seen = '';
                                        for (let piece; (piece = await next()) !== null;)
                                                seen += piece;
                                        return seen;
                                },
                                close: () => out.destroy(),
                        });
                });
                out.on('error', reject);
                out.setTimeout(60000, () => out.destroy(new Error(`no answer from ${url}`)));
                out.end(body);
        });
}

/*
 * A provider of the openai dialect. Streams wait before each event after the first until go() lets it out; `answer`, when
 * set, is called with (request, response, body) instead. `calls` lists what came: { path, headers, body, closed }.
 */
export async function startUpstream() {
        const upstream = { calls: [], answer: null, waiting: [] };
        const server = http.createServer((incoming, outgoing) => {
                const parts = [];
                incoming.on('data', (bytes) => parts.push(bytes));
                incoming.on('error', () => {});
                incoming.on('end', () => {
                        const body = Buffer.concat(parts).toString();
                        const call = { path: incoming.url, headers: incoming.headers, body, closed: false };
                        outgoing.on('close', () => { call.closed = !outgoing.writableFinished; });
                        upstream.calls.push(call);
                        if (upstream.answer)
                                upstream.answer(incoming, outgoing, body);
                        else
                                stream(outgoing, JSON.parse(body));
                });
        });
        async function stream(outgoing, asked) {
                const chunk = (delta, finish = null) => `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk',
                        created: 1700000000, model: asked.model, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
                outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
                outgoing.write(chunk({ role: 'assistant', content: 'one ' }));
                for (const word of ['two ', 'three ']) {
                        await new Promise((resolve) => upstream.waiting.push(resolve));
                        outgoing.write(chunk({ content: word }));
                }
                await new Promise((resolve) => upstream.waiting.push(resolve));
                outgoing.end(`${chunk({}, 'stop')}data: [DONE]\n\n`);
        }
        await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
        upstream.base = `http://127.0.0.1:${server.address().port}/v1`;
        /* Lets the next event of the oldest waiting stream out. */
        upstream.go = async () => {
                while (upstream.waiting.length === 0)
                        await new Promise((resolve) => setTimeout(resolve, 10));
                upstream.waiting.shift()();
        };
        upstream.stop = () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); });
        return upstream;
}
