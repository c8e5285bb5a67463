// One file a case: what a client sends, what the provider must get, what it replies, what the client must get.
// Every case runs as CGI and over FastCGI, several at once. See README.md beside this file for the form of a case.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const build = process.env.TOLLGATE_BUILDDIR || path.resolve(here, '../..');
const binary = path.join(build, 'tollgate.fcgi');
const data = process.env.TOLLGATE_DATADIR || path.resolve(here, '../../conf');
const jobs = Number(process.env.TOLLGATE_CASES_JOBS || 4);
const KEY = 'provider-key-0123456789';

const kinds = new Set(['target', 'version', 'account', 'config', 'client', 'client-header', 'client-type', 'answer', 'answer-has',
        'answer-stream', 'answer-stream-has', 'answer-text', 'answer-raw', 'answer-header']);
const isReply = (s) => /^reply(-crlf|-raw|-cut)?$/.test(s.kind);

function parseCase(file) {
        const sections = [];
        for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
                const mark = /^--- ([a-z-]+)\s*(.*)$/.exec(line);
                if (mark) sections.push({ kind: mark[1], words: mark[2].trim(), lines: [] });
                else if (sections.length) sections.at(-1).lines.push(line);
        }
        let request = null, reply = null;
        for (const s of sections) {
                s.text = s.lines.join('\n').replace(/\n+$/, '');
                if (/^upstream(-raw)?$/.test(s.kind)) request = s;
                else if (isReply(s)) reply = s;
                else if (s.kind === 'upstream-header') (request.headers ??= []).push(s.words);
                else if (s.kind === 'reply-header') (reply.headers ??= []).push(s.words);
                else if (!kinds.has(s.kind)) throw new Error(`${file}: no section is called "${s.kind}"`);
        }
        return { file, name: path.relative(here, file).replace(/\.case$/, ''), sections };
}

function nameAndValue(words) {
        const [, name, value] = /^([^:]+):\s*(.*)$/.exec(words);
        return [name.toLowerCase(), value];
}

const all = (c, kind) => c.sections.filter((s) => s.kind === kind);
const one = (c, kind) => c.sections.find((s) => s.kind === kind);

// ---- comparing: "{{*}}" stands for any text or value, "{{none}}" for a member that must not be there, "{{=name}}" for the
// same text wherever it stands. `some`: members that are not named may be there too.

function same(want, got, at, faults, some) {
        if (want === '{{*}}' && got !== undefined) return;
        const variable = typeof want === 'string' && /^\{\{=(\w+)\}\}$/.exec(want);
        if (variable && typeof got === 'string') {
                bind(variable[1], got, at, faults);
                return;
        }
        if (typeof want === 'string' && want.includes('{{*}}') && typeof got === 'string') {
                if (!matches(want, got)) faults.push(`${at}: wanted ${JSON.stringify(want)}, got ${JSON.stringify(got)}`);
                return;
        }
        const plain = want === null || got === null || typeof want !== 'object' || typeof got !== 'object';
        if (plain || Array.isArray(want) !== Array.isArray(got)) {
                if (want !== got) faults.push(`${at}: wanted ${JSON.stringify(want)}, got ${JSON.stringify(got)}`);
                return;
        }
        for (const key of new Set([...Object.keys(want), ...Object.keys(got)])) {
                const none = want[key] === '{{none}}' || !(key in want);
                if (none && key in got && (!some || key in want || Array.isArray(want))) faults.push(`${at}.${key}: not wanted, got ${JSON.stringify(got[key])}`);
                else if (!none && !(key in got)) faults.push(`${at}.${key}: missing, wanted ${JSON.stringify(want[key])}`);
                else if (!none) same(want[key], got[key], `${at}.${key}`, faults, some);
        }
}

// One name stands for one text, two names for two.
function bind(name, got, at, faults) {
        const names = (faults.names ??= new Map());
        const other = [...names].find(([n, text]) => (n === name) !== (text === got));
        if (other) faults.push(`${at}: {{=${name}}} is "${got}", but {{=${other[0]}}} is "${other[1]}"`);
        names.set(name, got);
}

function matches(want, got) {
        const parts = want.split('{{*}}').map((p) => p.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
        return new RegExp('^' + parts.join('[\\s\\S]*?') + '$').test(got);
}

function sameText(want, got, at, faults) {
        const norm = (t) => t.replace(/\r\n/g, '\n').trimEnd();
        if (!matches(norm(want), norm(got))) faults.push(`${at}:\n  wanted:\n${want}\n  got:\n${got}`);
}

// SSE in a case is compared event by event: names exactly, data as JSON where it is JSON.
function sameStream(want, got, at, faults, some) {
        const events = (text) =>
                text.replace(/\r\n/g, '\n').split(/\n\n+/).map((e) => e.trim()).filter(Boolean).map((e) => {
                        const name = /^event: ?(.*)$/m.exec(e)?.[1] ?? '';
                        const body = [...e.matchAll(/^data: ?(.*)$/gm)].map((m) => m[1]).join('\n');
                        return { name, body, comment: e.startsWith(':') };
                }).filter((e) => !e.comment);
        const w = events(want), g = events(got);
        if (w.length !== g.length) faults.push(`${at}: wanted ${w.length} events, got ${g.length}:\n${got}`);
        for (let i = 0; i < Math.min(w.length, g.length); i++) {
                if (w[i].name !== g[i].name) faults.push(`${at}[${i}]: wanted event "${w[i].name}", got "${g[i].name}"`);
                let a = w[i].body, b = g[i].body;
                try {
                        a = JSON.parse(a);
                        b = JSON.parse(b);
                } catch { /* compared as text */ }
                same(a, b, `${at}[${i}]`, faults, some);
        }
}

// ---- the provider of a case

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function send(res, reply) {
        const pieces = reply.body.split(/\{\{pause\}\}(?:\r?\n)+/);
        for (const [i, piece] of pieces.entries()) {
                if (i) await pause(150);
                await new Promise((done) => res.write(piece, done));
        }
        if (reply.cut) res.destroy();
        else res.end();
}

function startUpstream() {
        const state = { requests: [], replies: [] };
        const server = http.createServer((req, res) => {
                const chunks = [];
                req.on('data', (c) => chunks.push(c));
                req.on('end', () => {
                        state.requests.push({ method: req.method, url: req.url, headers: req.headers, body: Buffer.concat(chunks).toString() });
                        const reply = state.replies.shift() ?? { status: 599, type: 'text/plain', body: 'no reply left', headers: {} };
                        res.writeHead(reply.status, { 'content-type': reply.type, ...reply.headers });
                        send(res, reply);
                });
        });
        return new Promise((done) => server.listen(0, '127.0.0.1', () => done({ state, server, port: server.address().port })));
}

function replyOf(section) {
        const [status, type] = section.words.split(/\s+/);
        const headers = {};
        for (const h of section.headers ?? []) {
                const [name, value] = nameAndValue(h);
                headers[name] = value;
        }
        let body = section.text;
        if (type === 'text/event-stream' && section.kind !== 'reply-raw') body = body.replace(/\n+$/, '') + '\n\n';
        if (section.kind === 'reply-crlf') body = body.replace(/\n/g, '\r\n');
        return { status: Number(status), type: type ?? 'application/json', body, headers, cut: section.kind === 'reply-cut' };
}

function configOf(c, port) {
        const targets = all(c, 'target').map((t) => t.words.split(/\s+/));
        const base = { openai: `http://127.0.0.1:${port}/v1`, anthropic: `http://127.0.0.1:${port}`, gemini: `http://127.0.0.1:${port}` };
        const providers = [...new Set(targets.map((t) => t[0]))].map((d) =>
                d === 'echo' ? `{ name = "echo"; dialect = "echo"; }`
                             : `{ name = "${d}"; dialect = "${d}"; base = "${base[d]}"; key = "env:CASE_KEY"; }`);
        const rows = targets.map(([d, model]) => `{ provider = "${d}"; model = "${model}"; }`);
        /* What is said once is enough here, unless a case is about saying it again. */
        const given = one(c, 'version')?.text ?? '', extra = given.includes('retry') ? given : `retry = { attempts = 1; };\n${given}`;
        const account = one(c, 'account')?.text ?? '';
        const tasks = /embed/i.test(one(c, 'client').words) ? '"embed"' : '"chat", "vision"';
        return `version = 1;
anonymous = "public";
providers = ( ${providers.join(',\n')} );
models = ( { name = "m"; tasks = [${tasks}]; versions = ( { name = "1"; targets = ( ${rows.join(', ')} );
${extra} } ); } );
accounts = ( { name = "public"; models = ["*"]; ${account} } );
${one(c, 'config')?.text ?? ''}
`;
}

// ---- the two ways in

function cgiVariables(c, folder) {
        const client = one(c, 'client');
        const [method, target] = client.words.split(/\s+/);
        const [pathname, query = ''] = target.split('?');
        const env = {
                PATH: process.env.PATH, TOLLGATE_CONF: path.join(folder, 'tollgate.conf'), TOLLGATE_DATADIR: data, CASE_KEY: KEY,
                GATEWAY_INTERFACE: 'CGI/1.1', SERVER_PROTOCOL: 'HTTP/1.1', SERVER_NAME: 'gate.test', SERVER_PORT: '80', REMOTE_ADDR: '127.0.0.1',
                REQUEST_METHOD: method, SCRIPT_NAME: '/ai', PATH_INFO: pathname, QUERY_STRING: query,
                REQUEST_URI: '/ai' + target, CONTENT_TYPE: one(c, 'client-type')?.words ?? 'application/json', CONTENT_LENGTH: String(Buffer.byteLength(client.text)),
        };
        if (process.env.ASAN_OPTIONS) env.ASAN_OPTIONS = process.env.ASAN_OPTIONS;
        for (const h of all(c, 'client-header')) {
                const [name, value] = nameAndValue(h.words);
                env['HTTP_' + name.toUpperCase().replace(/-/g, '_')] = value;
        }
        return env;
}

function run(command, args, env, input) {
        return new Promise((done) => {
                const child = spawn(command, args, { env });
                const out = [], err = [];
                child.stdout.on('data', (d) => out.push(d));
                child.stderr.on('data', (d) => err.push(d));
                child.stdin.on('error', () => {});
                child.stdin.end(input);
                child.on('close', (code) => done({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }));
        });
}

function parseAnswer(text) {
        const cut = /\r?\n\r?\n/.exec(text);
        if (!cut) return { status: 0, headers: {}, body: text };
        const headers = {};
        for (const line of text.slice(0, cut.index).split(/\r?\n/)) {
                const [, name, value] = /^([^:]+):\s*(.*)$/.exec(line) ?? [];
                if (name) headers[name.toLowerCase()] = value;
        }
        return { status: parseInt(headers.status ?? '200', 10), headers, body: text.slice(cut.index + cut[0].length) };
}

async function overFastcgi(env, folder, input) {
        const socket = path.join(folder, 's');
        const child = spawn('spawn-fcgi', ['-n', '-s', socket, '--', binary, '-c', path.join(folder, 'tollgate.conf'), '-w', '3'], {
                env: { PATH: env.PATH, TOLLGATE_DATADIR: data, CASE_KEY: KEY, ...(env.ASAN_OPTIONS ? { ASAN_OPTIONS: env.ASAN_OPTIONS } : {}) },
                stdio: ['ignore', 'ignore', 'pipe'],
        });
        let log = '';
        child.stderr.on('data', (d) => (log += d));
        const ended = new Promise((done) => child.on('close', done));
        for (let i = 0; i < 2000 && !fs.existsSync(socket); i++) await pause(5);
        // The socket may be there a moment before anyone listens on it.
        let got = { out: '' };
        for (let i = 0; i < 100 && !got.out && child.exitCode === null; i++) {
                if (i) await pause(20);
                got = await run('cgi-fcgi', ['-bind', '-connect', socket], env, input);
        }
        child.kill('SIGTERM');
        const code = await ended;
        if (code !== 0) got.err += `\nthe responder ended with ${code}`;
        got.err += log;
        got.code = code;
        return got;
}

// ---- one case

function checkRequests(c, requests, faults) {
        const wanted = c.sections.filter((s) => /^upstream(-raw)?$/.test(s.kind));
        if (wanted.length !== requests.length) faults.push(`the provider got ${requests.length} requests, wanted ${wanted.length}: ${JSON.stringify(requests.map((r) => r.url))}`);
        wanted.forEach((w, i) => {
                const r = requests[i];
                if (!r) return;
                const [method, url] = w.words.split(/\s+/);
                if (r.method !== method || r.url !== url) faults.push(`upstream[${i}]: wanted ${w.words}, got ${r.method} ${r.url}`);
                if (w.kind === 'upstream-raw' && w.text !== r.body) faults.push(`upstream[${i}]:\n  wanted:\n${w.text}\n  got:\n${r.body}`);
                else if (w.kind === 'upstream' && w.text) same(JSON.parse(w.text), JSON.parse(r.body || 'null'), `upstream[${i}]`, faults);
                for (const h of w.headers ?? []) {
                        const [name, value] = nameAndValue(h);
                        const have = r.headers[name] ?? '';
                        if (!matches(value, have)) faults.push(`upstream[${i}] header ${name}: wanted "${value}", got "${have}"`);
                }
        });
}

const compare = {
        'answer': (want, got, faults) => same(JSON.parse(want), JSON.parse(got), 'answer', faults),
        'answer-has': (want, got, faults) => same(JSON.parse(want), JSON.parse(got), 'answer', faults, true),
        'answer-stream': (want, got, faults) => sameStream(want, got, 'answer', faults),
        'answer-stream-has': (want, got, faults) => sameStream(want, got, 'answer', faults, true),
        'answer-text': (want, got, faults) => sameText(want, got, 'answer', faults),
        'answer-raw': (want, got, faults) => {
                if (want !== got.replace(/\n+$/, '')) faults.push(`answer:\n  wanted:\n${want}\n  got:\n${got}`);
        },
};

function checkAnswer(c, answer, faults) {
        const a = c.sections.find((s) => compare[s.kind]);
        if (answer.status !== Number(a.words)) faults.push(`status: wanted ${a.words}, got ${answer.status}: ${answer.body.slice(0, 500)}`);
        try {
                if (a.text) compare[a.kind](a.text, answer.body, faults);
        } catch (e) {
                faults.push(`answer: ${e.message}: ${answer.body.slice(0, 500)}`);
        }
        for (const h of all(c, 'answer-header')) {
                const [name, value] = nameAndValue(h.words);
                const have = answer.headers[name] ?? '';
                if (!matches(value, have)) faults.push(`answer header ${name}: wanted "${value}", got "${have}"`);
        }
}

function check(c, upstream, got) {
        const faults = [];
        checkRequests(c, upstream.state.requests, faults);
        checkAnswer(c, parseAnswer(got.out), faults);
        if (got.code !== 0) faults.push(`ended with ${got.code}`);
        if ((got.out + got.err).includes(KEY)) faults.push('the provider key came out');
        if (/Sanitizer|runtime error/.test(got.err)) faults.push(got.err);
        return faults;
}

async function runCase(c, way) {
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tollgate-case-'));
        const upstream = await startUpstream();
        try {
                upstream.state.replies = c.sections.filter(isReply).map(replyOf);
                fs.writeFileSync(path.join(folder, 'tollgate.conf'), configOf(c, upstream.port));
                const env = cgiVariables(c, folder), input = one(c, 'client').text;
                const got = way === 'cgi' ? await run(binary, [], env, input) : await overFastcgi(env, folder, input);
                const faults = check(c, upstream, got);
                if (faults.length && got.err) faults.push('log: ' + got.err.trim().split("\n").slice(-3).join('\n     '));
                return faults;
        } finally {
                upstream.server.close();
                fs.rmSync(folder, { recursive: true, force: true });
        }
}

function caseFiles() {
        const named = process.argv.slice(2);
        if (named.length) return named;
        return fs.readdirSync(here, { recursive: true }).filter((f) => String(f).endsWith('.case')).sort().map((f) => path.join(here, String(f)));
}

async function tryCase(file, way) {
        let c = { name: path.relative(here, file).replace(/\.case$/, '') };
        let faults;
        try {
                c = parseCase(file);
                faults = await runCase(c, way);
        } catch (e) {
                faults = [String(e.stack ?? e)];
        }
        return { name: c.name, way, faults };
}

// As many at once as `jobs` says; told in order.
async function runAll(plan) {
        const results = [];
        let next = 0, told = 0, failed = 0;
        const worker = async () => {
                for (let i = next++; i < plan.length; i = next++) {
                        results[i] = await tryCase(plan[i].file, plan[i].way);
                        for (; results[told]; told++) {
                                const { name, way, faults } = results[told];
                                if (faults.length) failed++;
                                console.log(`${faults.length ? 'not ok' : 'ok'} ${told + 1} - ${name} (${way})`);
                                for (const f of faults) console.log('#   ' + f.replace(/\n/g, '\n#   '));
                        }
                }
        };
        await Promise.all(Array.from({ length: jobs }, worker));
        return failed;
}

const ways = ['cgi'];
if (spawnSync('cgi-fcgi', ['-version']).error === undefined && spawnSync('spawn-fcgi', ['-v']).error === undefined) ways.push('fastcgi');
const only = process.env.TOLLGATE_CASES_WAY;
const plan = caseFiles().flatMap((file) => ways.filter((w) => !only || w === only).map((way) => ({ file: path.resolve(file), way })));
console.log(`1..${plan.length}`);
if (ways.length === 1) console.log('# cgi-fcgi or spawn-fcgi is not installed: cases run as CGI only');
const failed = await runAll(plan);
if (failed) console.log(`# ${failed} of ${plan.length} failed`);
process.exit(failed || plan.length === 0 ? 1 : 0);
