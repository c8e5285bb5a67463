// Versions: pins are taken with no restart, canaries are a fixed share of the callers, dates are told and end what they should.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { configFolder, configText, newKey, postJson } from './gate.mjs';
import { buildDir, isCgi, removeFolder, skipReason, sleep, startServer, waitFor } from './harness.mjs';
import { errorOf, serverKinds } from './suite.mjs';

const targets = 'targets = ( { provider = "local"; model = "echo"; } );';
const versioned = (name, use, versions, more = '') =>
        `{ name = "${name}"; tasks = ["chat", "embed"]; use = "${use}"; ${more} versions = ( ${versions.map(([v, dates = '']) => `{ name = "${v}"; ${dates} ${targets} }`).join(', ')} ); }`;
const models = [
        versioned('pinned', '1', [['1'], ['2'], ['3']]),
        versioned('split', '1', [['1'], ['2']], 'canary = { version = "2"; percent = 40; };'),
        versioned('dated', 'old', [
                ['old', 'deprecated = "2020-02-29"; sunset = "2099-12-31"; after_sunset = "new";'], ['new'],
                ['left', 'deprecated = "2020-01-01"; sunset = "2020-06-01"; after_sunset = "middle";'], ['middle', 'sunset = "2020-07-01"; after_sunset = "new";'],
                ['gone', 'sunset = "2020-01-02";'],
        ]),
];

// Asks in a client dialect, in one piece or as a stream.
const asks = {
        openai: (model, stream) => ['/v1/chat/completions', { model, stream, messages: [{ role: 'user', content: 'Hi' }] }],
        anthropic: (model, stream) => ['/v1/messages', { model, stream, max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] }],
        gemini: (model, stream) => [`/v1beta/models/${model}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`, { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }] }],
        plain: (model, stream) => ['/chat', { model, stream, prompt: 'Hi' }],
};

// The hash of policy/route.h, written from its description.
const hashed = (...parts) => {
        const cut = (n) => BigInt.asUintN(64, n);
        let h = 0xcbf29ce484222325n;
        for (const byte of Buffer.from(parts.map((p) => `${p}\0`).join('')))
                h = cut((h ^ BigInt(byte)) * 0x100000001b3n);
        h = cut((h ^ (h >> 33n)) * 0xff51afd7ed558ccdn);
        h = cut((h ^ (h >> 33n)) * 0xc4ceb9fe1a85ec53n);
        return Number((h ^ (h >> 33n)) % 10000n);
};

for (const kind of serverKinds)
        describe(`versions over ${kind}`, { skip: skipReason(kind) }, () => {
                const callers = Array.from({ length: 40 }, (_, i) => ({ name: `k${i}`, ...newKey(`k${i}`) }));
                let folder, file, server;
                before(async () => {
                        folder = configFolder();
                        file = folder.file('tollgate.conf', `${configText({
                                settings: `state = "${folder.folder}/state";`, models,
                                accounts: [`{ name = "desk"; models = ["*"]; keys = ( ${callers.map((c) => c.row).join(', ')} ); }`],
                        })}@include "pins.conf"\n`);
                        server = await startServer(kind, { config: file });
                });
                after(async () => {
                        await server?.stop();
                        if (folder)
                                removeFolder(folder.folder);
                });
                const ask = (dialect, model, stream = false, caller = callers[0]) => {
                        const [where, body] = asks[dialect](model, stream);
                        return postJson(server.baseUrl + where, body, { authorization: `Bearer ${caller.key}` });
                };
                const pin = (...args) => execFileSync(path.join(buildDir, 'tollgate'), ['pin', '-c', file, ...args], { env: { PATH: process.env.PATH } }).toString();
                // All processes look again within a second; a busy machine gets longer.
                const becomes = async (version) => {
                        let row = 0;
                        await waitFor(async () => {
                                const r = await ask('openai', 'pinned');
                                assert.equal(r.status, 200, r.text);
                                row = r.headers['x-tollgate-version'] === version ? row + 1 : 0;
                                return row === 5;
                        }, { what: `version ${version} of the model` });
                };

                test('a pin is taken with no restart, and taken back', async () => {
                        await becomes('1');
                        const pids = server.responderPids().sort();
                        pin('pinned', '2', '--why', 'a test');
                        await becomes('2');
                        pin('pinned', '3');
                        await becomes('3');
                        assert.match(pin('pinned', '--rollback'), /2 is in force \(was 3\)/);
                        await becomes('2');
                        pin('pinned', '1');
                        await becomes('1');
                        assert.equal((await ask('openai', 'pinned@3')).headers['x-tollgate-version'], '3', 'by name, whatever is pinned');
                        if (!isCgi(kind))
                                assert.ok(server.responderPids().some((pid) => pids.includes(pid)), 'the same processes');
                });

                test('while it changes, each answer comes from one version or the other', async () => {
                        let done = false;
                        const seen = new Set();
                        const askOn = async () => {
                                while (!done) {
                                        const r = await ask('openai', 'pinned');
                                        assert.equal(r.status, 200, r.text);
                                        seen.add(r.headers['x-tollgate-version']);
                                }
                        };
                        const asking = [askOn(), askOn()];
                        for (const version of ['2', '1', '2', '1']) {
                                pin('pinned', version);
                                await sleep(150);
                        }
                        done = true;
                        await Promise.all(asking);
                        assert.ok([...seen].every((v) => v === '1' || v === '2'), [...seen].join());
                        await becomes('1');
                });

                test('the canary has its share of the callers, always the same', async () => {
                        const split = callers.map((c) => (hashed('split', 'desk', c.name) < 4000 ? '2' : '1'));
                        for (let round = 0; round < 2; round++)
                                for (const [i, caller] of callers.entries()) {
                                        const r = await ask(Object.keys(asks)[i % 4], 'split', false, caller);
                                        assert.equal(r.headers['x-tollgate-version'], split[i], caller.name);
                                }
                        assert.equal((await ask('openai', 'split@1', false, callers[split.indexOf('2')])).headers['x-tollgate-version'], '1', 'by name');
                });

                for (const dialect of Object.keys(asks))
                        for (const stream of [false, true])
                                test(`dates are told: ${dialect}${stream ? ', a stream' : ''}`, async () => {
                                        let r = await ask(dialect, 'dated', stream);
                                        assert.equal(r.status, 200, r.text);
                                        assert.equal(r.headers['x-tollgate-version'], 'old');
                                        assert.equal(r.headers.deprecation, `@${Date.UTC(2020, 1, 29) / 1000}`);
                                        assert.equal(r.headers.sunset, 'Thu, 31 Dec 2099 00:00:00 GMT');
                                        r = await ask(dialect, 'dated@new', stream);
                                        assert.equal(r.headers.deprecation, undefined);
                                        assert.equal(r.headers.sunset, undefined);
                                        // Another stands in, at the end of the chain; the dates are those of what was asked for.
                                        r = await ask(dialect, 'dated@left', stream);
                                        assert.equal(r.status, 200, r.text);
                                        assert.equal(r.headers['x-tollgate-version'], 'new');
                                        assert.equal(r.headers.sunset, new Date(Date.UTC(2020, 5, 1)).toUTCString());
                                        // Gone is gone, before any stream begins.
                                        r = await ask(dialect, 'dated@gone', stream);
                                        assert.equal(r.status, 404, r.text);
                                        const e = errorOf(dialect, r.json);
                                        assert.match(e.message, /"gone".*since 2020-01-02/);
                                        if (dialect === 'openai')
                                                assert.deepEqual([e.type, e.code, e.param], ['invalid_request_error', 'model_not_found', 'model']);
                                });

                test('vectors, too', async () => {
                        const r = await postJson(`${server.baseUrl}/v1/embeddings`, { model: 'dated', input: 'x' }, { authorization: `Bearer ${callers[0].key}` });
                        assert.equal(r.status, 200, r.text);
                        assert.match(r.headers.sunset, /^Thu, 31 Dec 2099/);
                });

                test('the log tells', async () => {
                        await waitFor(() => /dated@old is deprecated since 2020-02-29/.test(server.errorLog()) && /dated@left is gone since 2020-06-01: dated@new stands in for it/.test(server.errorLog()) &&
                                / by=canary /.test(server.errorLog()) && / by=pin /.test(server.errorLog()), { what: 'lines in the log' });
                });
        });
