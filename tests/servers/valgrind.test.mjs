/* The responder under valgrind, behind lighttpd: 200 mixed requests, then no error and nothing lost. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { skipReason, sleep, startServer, which } from './harness.mjs';
import { configFolder, configText, model, newKey, openStream, postJson, request, startUpstream } from './gate.mjs';

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const kind = 'lighttpd-fastcgi';

/* Each is called with (url, key's headers) and returns an answer's status; what it should be stands first. */
const mix = [
        [200, (url) => request(`${url}/healthz`)],
        [200, (url, key) => request(`${url}/v1/models`, { headers: key })],
        [200, (url) => postJson(`${url}/v1/chat/completions`, { model: 'echo', messages: [{ role: 'user', content: 'Hello' }] })],
        [200, (url) => postJson(`${url}/v1/chat/completions`, { model: 'echo', stream: true, messages: [{ role: 'user', content: 'Hello, streams' }] })],
        [200, (url) => postJson(`${url}/v1/chat/completions`, { model: 'echo', messages: [{ role: 'user', content: [
                { type: 'text', text: 'What is it?' }, { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } }] }] })],
        [200, (url) => postJson(`${url}/v1/chat/completions`, { model: 'echo', messages: [{ role: 'user', content: 'call weather' }],
                tools: [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } }] })],
        [200, (url) => postJson(`${url}/v1/embeddings`, { model: 'echo', input: ['one', 'two'] })],
        [200, (url) => postJson(`${url}/v1/messages`, { model: 'echo', max_tokens: 50, messages: [{ role: 'user', content: 'Hello' }] }, { 'anthropic-version': '2023-06-01' })],
        [200, (url) => postJson(`${url}/v1/messages`, { model: 'echo', max_tokens: 50, stream: true, messages: [{ role: 'user', content: 'Hello' }] }, { 'anthropic-version': '2023-06-01' })],
        [200, (url) => postJson(`${url}/v1beta/models/echo:generateContent`, { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] })],
        [200, (url) => postJson(`${url}/v1beta/models/echo:streamGenerateContent?alt=sse`, { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] })],
        [200, (url) => postJson(`${url}/v1beta/models/echo:streamGenerateContent`, { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] })],
        [200, (url) => postJson(`${url}/chat`, { model: 'echo', prompt: 'Hello' }, { accept: 'text/plain' })],
        [200, (url) => request(`${url}/chat`, { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'model=echo&prompt=Hello+there' })],
        [200, (url) => request(`${url}/vision`, { headers: { 'content-type': 'multipart/form-data; boundary=b' }, body: Buffer.concat([
                Buffer.from('--b\r\ncontent-disposition: form-data; name="model"\r\n\r\necho\r\n--b\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\ncontent-type: image/png\r\n\r\n'),
                Buffer.from(png, 'base64'), Buffer.from('\r\n--b--\r\n')]) })],
        [200, (url, key) => postJson(`${url}/v1/chat/completions`, { model: 'far', messages: [{ role: 'user', content: 'Hello' }] }, key)],
        [200, (url, key) => postJson(`${url}/v1/messages`, { model: 'far', max_tokens: 50, messages: [{ role: 'user', content: 'Hello' }] }, { ...key, 'anthropic-version': '2023-06-01' })],
        [200, (url, key) => postJson(`${url}/v1beta/models/far:generateContent`, { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] }, key)],
        [400, (url) => request(`${url}/v1/chat/completions`, { headers: { 'content-type': 'application/json' }, body: '{"model":"echo","model":"echo"}' })],
        [400, (url) => request(`${url}/v1/messages`, { headers: { 'content-type': 'application/json' }, body: `${'['.repeat(100)}` })],
        [401, (url) => request(`${url}/v1/models`, { headers: { authorization: 'Bearer wrong' } })],
        [404, (url) => postJson(`${url}/v1/chat/completions`, { model: 'nobody', messages: [{ role: 'user', content: 'Hello' }] })],
        [404, (url) => request(`${url}/nothing`)],
        [405, (url) => request(`${url}/v1/chat/completions`)],
        [502, (url, key) => postJson(`${url}/v1/chat/completions`, { model: 'dead', messages: [{ role: 'user', content: 'Hello' }] }, key)],
];

it('200 mixed requests under valgrind', { skip: skipReason(kind) || (!which('valgrind') && 'valgrind is not installed'), timeout: 600000 }, async () => {
        const key = newKey('test');
        const upstream = await startUpstream();
        const folder = configFolder();
        const config = folder.file('tollgate.conf', configText({
                settings: 'anonymous = "public"; keepalive = 1.0; workers = 8;',
                providers: [`{ name = "far"; dialect = "openai"; base = "${upstream.base}"; key = "file:${folder.file('key', 'sk-upstream\n')}"; }`,
                            '{ name = "dead"; dialect = "openai"; base = "http://127.0.0.1:1/v1"; }'],
                models: [model('far', [['far', 'gpt-test']], ['chat']), model('dead', [['dead', 'gpt-test']], ['chat'])],
                accounts: ['{ name = "public"; models = ["echo"]; }', `{ name = "tester"; models = ["*"]; keys = ( ${key.row} ); }`],
        }));
        const logs = path.join(folder.folder, 'valgrind');
        fs.mkdirSync(logs);
        fs.chmodSync(logs, 0o777);
        const program = path.join(folder.folder, 'under-valgrind');
        fs.writeFileSync(program, `#!/bin/sh\n# Set: the responder does not start itself again, out of valgrind's sight.\nGLIBC_TUNABLES= exec '${which('valgrind')}' --leak-check=full --show-leak-kinds=definite,indirect --num-callers=30 `
                                + `--log-file='${logs}/%p' "$TOLLGATE_REAL" "$@"\n`, { mode: 0o755 });
        /* Streams of the provider go on by themselves here; what does not stream is answered in one piece. */
        const whole = (asked) => JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion', created: 1700000000, model: asked.model,
                choices: [{ index: 0, message: { role: 'assistant', content: 'Hello back' }, finish_reason: 'stop' }],
                usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } });
        upstream.answer = (incoming, outgoing, body) => {
                const asked = JSON.parse(body);
                if (!asked.stream) {
                        outgoing.writeHead(200, { 'content-type': 'application/json' }).end(whole(asked));
                        return;
                }
                outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
                const timer = setInterval(() => outgoing.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: asked.model,
                        choices: [{ index: 0, delta: { content: 'on ' }, finish_reason: null }] })}\n\n`), 50);
                outgoing.on('close', () => clearInterval(timer));
        };
        const server = await startServer(kind, { config, program });
        try {
                const headers = { authorization: `Bearer ${key.key}` };
                const wrong = [];
                let sent = 0;
                for (let batch = 0; sent < 196; batch++) {
                        await Promise.all(mix.slice(0, Math.min(mix.length, 196 - sent)).map(async ([status, send], i) => {
                                sent++;
                                const answer = await send(server.baseUrl, headers);
                                if (answer.status !== status)
                                        wrong.push(`request ${i} of the mix: ${answer.status}, not ${status}: ${answer.text.slice(0, 300)}`);
                        }));
                }
                /* And clients that leave in the middle of a stream. */
                for (let i = 0; i < 4; i++, sent++) {
                        const stream = await openStream(`${server.baseUrl}/v1/chat/completions`, { model: 'far', stream: true, messages: [{ role: 'user', content: 'x' }] }, headers);
                        await stream.until('on ');
                        stream.close();
                }
                assert.equal(sent, 200);
                await sleep(2000);
                const pids = server.responderPids();
                await server.stop();
                assert.deepEqual([...new Set(wrong)], []);
                assert.equal(pids.length, 1);
                const log = fs.readFileSync(path.join(logs, String(pids[0])), 'utf8');
                assert.match(log, /ERROR SUMMARY: 0 errors/, log);
                if (!/All heap blocks were freed/.test(log)) {
                        assert.match(log, /definitely lost: 0 bytes/, log);
                        assert.match(log, /indirectly lost: 0 bytes/, log);
                }
                assert.equal(fs.readdirSync(logs).length, 1, 'one process served all: none died');
        } finally {
                await server.stop();
                await upstream.stop();
        }
});
