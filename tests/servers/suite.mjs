// What the suites share: a server of each kind with a fake behind it, and the rule that no violation goes by.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe } from 'node:test';
import { promisify } from 'node:util';
import { callerKey, writeConfig } from './config.mjs';
import { startFake } from './fake/provider.mjs';
import { buildDir, kinds, removeFolder, skipReason, startServer } from './harness.mjs';

// Those of SERVER_KINDS, else all but the one that a shared host's .htaccess makes, which is the CGI kind once more.
export const serverKinds = process.env.SERVER_KINDS?.split(/[\s,]+/).filter(Boolean) ?? kinds.filter((k) => k !== 'apache-htaccess');

// body(s) defines the tests; s holds { kind, fake, server, url, config } when they run. options: of writeConfig, or a function of the fake.
export const eachServer = (title, options, body) => {
        for (const kind of serverKinds)
                describe(`${title} over ${kind}`, { skip: skipReason(kind) }, () => {
                        const s = { kind };
                        before(async () => {
                                s.fake = await startFake();
                                s.config = writeConfig(s.fake, typeof options === 'function' ? options(s.fake) : options);
                                s.server = await startServer(kind, { config: s.config.file, env: s.config.env });
                                s.url = s.server.baseUrl;
                        });
                        /* What was learnt of a target that failed is not the next test's. */
                        s.forget = () => promisify(execFile)(path.join(buildDir, 'tollgate'), ['reset', '-c', s.config.file, '--all'], { env: { ...process.env, ...s.config.env } });
                        after(async () => {
                                await s.server?.stop();
                                await s.fake?.stop();
                                if (s.config)
                                        removeFolder(s.config.folder);
                                const log = s.server?.errorLog() ?? '';
                                assert.doesNotMatch(log, /AddressSanitizer|LeakSanitizer|runtime error:/, 'what a sanitizer found');
                        });
                        beforeEach(() => s.fake?.reset());
                        afterEach(() => assert.deepEqual(s.fake?.violations ?? [], [], 'what went to the provider'));
                        body(s);
                });
};

// A request as programs make it, without an SDK. body: object (JSON), string, Buffer, FormData, URLSearchParams.
export const call = async (s, path, { body, headers = {}, key = callerKey, method, signal } = {}) => {
        const plain = body && (body.constructor === Object || Array.isArray(body));
        const r = await fetch(s.url + path, {
                method: method ?? (body === undefined ? 'GET' : 'POST'), signal, redirect: 'manual', body: plain ? JSON.stringify(body) : body,
                headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), ...(plain ? { 'content-type': 'application/json' } : {}), ...headers },
        });
        const text = await r.text();
        let json;
        try {
                json = JSON.parse(text);
        } catch {
                json = undefined;
        }
        return { status: r.status, headers: r.headers, text, json };
};

// Events of a stream of ours, in order: { event, data, json }.
export const events = (text) => text.split(/\r?\n\r?\n/).map((block) => {
        const lines = block.split(/\r?\n/).filter((l) => l && !l.startsWith(':'));
        const of = (name) => lines.filter((l) => l.startsWith(`${name}:`)).map((l) => l.slice(name.length + 1).replace(/^ /, '')).join('\n');
        const data = of('data');
        let json;
        try {
                json = JSON.parse(data);
        } catch {
                json = undefined;
        }
        return { event: of('event') || undefined, data, json };
}).filter((e) => e.data);

// An error of each dialect, in its own shape: { status, type, code, message, param }; fails when it has none.
export const errorOf = (dialect, body) => {
        assert.ok(body && typeof body === 'object', `an error in JSON, not ${JSON.stringify(body)?.slice(0, 200)}`);
        const shapes = {
                openai: () => {
                        const { message, type, param, code } = body.error;
                        assert.ok('param' in body.error && 'code' in body.error, 'param and code are there, if null');
                        return { message, type, param, code };
                },
                anthropic: () => {
                        assert.equal(body.type, 'error');
                        assert.equal(typeof body.request_id, 'string');
                        return { message: body.error.message, type: body.error.type };
                },
                gemini: () => ({ status: body.error.code, message: body.error.message, type: body.error.status }),
                plain: () => {
                        assert.equal(typeof body.error.request_id, 'string');
                        return { message: body.error.message, code: body.error.code };
                },
        };
        const e = shapes[dialect]();
        assert.equal(typeof e.message, 'string');
        assert.ok(e.message.length > 0);
        return e;
};
