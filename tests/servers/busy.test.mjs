/* All workers busy, clients that leave, and what the log says of them: processes that outlive a request. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { isCgi, kinds, skipReason, sleep, startServer, waitFor } from './harness.mjs';
import { configFolder, configText, model, newKey, openStream, postJson, request, startUpstream } from './gate.mjs';

const keepalive = 400;
const messages = [{ role: 'user', content: 'Hello' }];

for (const kind of kinds.filter((k) => !isCgi(k))) {
        describe(kind, { skip: skipReason(kind) }, () => {
                const key = newKey('test');
                const authorized = { authorization: `Bearer ${key.key}` };
                let server, url, upstream;
                const open = () => openStream(`${url}/v1/chat/completions`, { model: 'far', messages, stream: true }, authorized);

                before(async () => {
                        upstream = await startUpstream();
                        const folder = configFolder();
                        server = await startServer(kind, { config: folder.file('tollgate.conf', configText({
                                settings: `workers = 4; keepalive = ${keepalive / 1000};`,
                                providers: [`{ name = "far"; dialect = "openai"; base = "${upstream.base}"; key = "sk-upstream"; }`],
                                models: [model('far', [['far', 'gpt-test']], ['chat'])],
                                accounts: [`{ name = "tester"; models = ["*"]; keys = ( ${key.row} ); }`],
                        })) });
                        url = server.baseUrl;
                });
                after(async () => {
                        await server?.stop();
                        await upstream?.stop();
                });

                /* mod_fcgid gives each process one request at a time: there, none is ever busy. */
                it('refuses model requests when all workers but two are busy, and answers the rest', { skip: kind === 'apache-fcgid' && 'a process for each request' }, async () => {
                        const held = [await open(), await open()];
                        for (const stream of held)
                                await stream.until('one ');
                        for (const [path, body, where] of [
                                ['/v1/chat/completions', { model: 'far', messages }, (a) => a.error.type], ['/v1/messages', { model: 'far', messages, max_tokens: 9 }, (a) => a.error.type],
                                ['/v1beta/models/far:generateContent', { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }] }, (a) => a.error.status],
                                ['/chat', { model: 'far', prompt: 'Hi' }, (a) => a.error.code],
                        ]) {
                                const refused = await postJson(url + path, body, authorized);
                                assert.equal(refused.status, 503, refused.text);
                                assert.equal(refused.headers['retry-after'], '1');
                                assert.equal(refused.headers['x-should-retry'], undefined);
                                assert.match(where(refused.json), /overloaded|UNAVAILABLE/);
                        }
                        assert.equal((await request(`${url}/healthz`)).status, 200);
                        assert.equal((await request(`${url}/v1/models`, { headers: authorized })).status, 200);
                        for (let i = 0; i < 6; i++)
                                await upstream.go();
                        for (const stream of held)
                                assert.match(await stream.rest(), /\[DONE\]/);
                        /* A worker is given back just after its last byte. */
                        await waitFor(async () => (await postJson(`${url}/v1/chat/completions`, { model: 'echo', messages }, authorized)).status === 200, { what: 'a free worker', ms: 2000 });
                });

                it('ends the call of a client that leaves a silent stream, says so in the log, and has its worker back', async () => {
                        for (let i = 0; i < 3; i++) {
                                const stream = await open();
                                await stream.until('one ');
                                const call = upstream.calls.at(-1);
                                const before = Date.now();
                                stream.close();
                                await waitFor(() => call.closed, { what: 'the end of the upstream call', ms: 5000, every: 10 });
                                const took = Date.now() - before;
                                assert.ok(took < 2 * keepalive + 1000, `${took} ms, with a keep-alive every ${keepalive} ms`);
                                upstream.waiting.length = 0;
                                await sleep(100);
                        }
                        await waitFor(async () => {
                                assert.equal((await postJson(`${url}/v1/chat/completions`, { model: 'echo', messages }, authorized)).status, 200);
                                return (server.errorLog().match(/incomplete client-left/g) ?? []).length >= 3;
                        }, { what: 'three lines of the log', ms: 5000 });
                });
        });
}
