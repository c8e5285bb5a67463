// No key of a provider in any answer, header, log line or environment, whatever the provider says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { callerKey, otherKey } from './config.mjs';
import { isCgi } from './harness.mjs';
import { call, eachServer } from './suite.mjs';

const asks = [
        ['/v1/chat/completions', (model, stream) => ({ model, stream, messages: [{ role: 'user', content: 'x' }] })],
        ['/v1/messages', (model, stream) => ({ model, stream, max_tokens: 9, messages: [{ role: 'user', content: 'x' }] })],
        ['/v1beta/models/MODEL:generateContent', () => ({ contents: [{ parts: [{ text: 'x' }] }] })],
        ['/v1beta/models/MODEL:streamGenerateContent?alt=sse', () => ({ contents: [{ parts: [{ text: 'x' }] }] })],
        ['/chat', (model, stream) => ({ model, stream, prompt: 'x' })],
];
const models = [['gpt', 'gpt-4o', 'openai'], ['claude', 'claude-sonnet-4-6', 'anthropic'], ['gemini', 'gemini-3.5-flash', 'gemini']];

eachServer('secrets', {}, (s) => {
        const secrets = () => [...Object.values(s.fake.keys), callerKey, otherKey];
        const clean = (where, text) => {
                for (const secret of secrets())
                        for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64').slice(0, -4), secret.slice(0, 24)])
                                assert.ok(!text.includes(form), `${where} holds a secret: …${text.slice(Math.max(0, text.indexOf(form) - 80), text.indexOf(form) + 12)}…`);
        };
        const whole = (r) => `${JSON.stringify([...r.headers])}\n${r.text}`;

        describe('the provider echoes our key', () => {
                for (const [model, name, dialect] of models)
                        test(dialect, async () => {
                                const key = s.fake.keys[dialect];
                                const message = `Incorrect API key provided: ${key}. Header was Bearer ${key}; base ${s.fake.url}, file /etc/tollgate/x.key`;
                                for (const script of [
                                        { status: 401, message }, { status: 400, message }, { status: 403, message }, { status: 429, message }, { status: 500, message }, { status: 500, body: message },
                                        { errorIn200: true, message }, { text: 'one two three', errorEvent: 0, message }, { text: 'one two three', errorEvent: 2, message },
                                        { status: 400, message, headers: { 'x-echo': key } }, { text: 'fine', headers: { 'x-echo': key, 'x-request-id': key } },
                                        { status: 400, message: 'cut', type: key, code: key },
                                ])
                                        for (const [path, body] of asks)
                                                for (const stream of [false, true]) {
                                                        s.fake.script(name, script);
                                                        const r = await call(s, path.replace('MODEL', model), { body: body(model, stream) });
                                                        clean(`the answer of ${path} to ${JSON.stringify(script).slice(0, 60)}`, whole(r));
                                                }
                        });
        });

        test('our own errors tell nothing of the inside', async () => {
                for (const [path, body] of asks)
                        for (const [model, name] of models) {
                                s.fake.script(name, { cut: 'connect' });
                                const r = await call(s, path.replace('MODEL', model), { body: body(model, false) });
                                clean(path, whole(r));
                                assert.ok(!whole(r).includes(`127.0.0.1:${s.fake.port}`), `an address of the inside: ${r.text}`);
                                assert.doesNotMatch(r.text, /\/(tmp|etc|home|usr|var)\//);
                        }
        });

        test('a wrong key of a caller is not logged', async () => {
                const wrong = `tg-${'z'.repeat(40)}`;
                for (const headers of [{ authorization: `Bearer ${wrong}` }, { 'x-api-key': wrong }, { 'x-goog-api-key': wrong }])
                        assert.equal((await call(s, '/v1/models', { headers, key: null })).status, 401);
                await call(s, `/v1beta/models?key=${wrong}`, { key: null });
                assert.ok(!s.server.errorLog().includes(wrong));
                assert.ok(!s.server.accessLog().includes(wrong), 'the access log leaves queries out');
        });

        test('nothing in the arguments of the responder, core dumps are off', { skip: isCgi(s.kind) ? 'a process for each request' : false }, async () => {
                for (const pid of s.server.responderPids()) {
                        clean('the command line', readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
                        assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max core file size\s+0\s/m);
                }
        });

        after(() => s.server && clean('a log', s.server.errorLog() + s.server.accessLog()));
});
