/* What travels to a provider, and what a process keeps to itself. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { isCgi, kinds, skipReason, startServer } from './harness.mjs';
import { configFolder, configText, model, newKey, openStream, postJson, request, startUpstream } from './gate.mjs';

const secret = 'sk-proj-Zq7vN3xTfQ2hB8wLmYcRd5KpUeAo9GjS';
const chat = { model: 'far', messages: [{ role: 'user', content: 'Hello' }] };

for (const kind of kinds) {
        describe(`privacy under ${kind}`, { skip: skipReason(kind) }, () => {
                const key = newKey('test');
                const headers = { authorization: `Bearer ${key.key}` };
                let server, upstream, folder;

                before(async () => {
                        upstream = await startUpstream();
                        folder = configFolder();
                        folder.file('provider.key', `${secret}\n`);
                        server = await startServer(kind, { config: folder.file('tollgate.conf', configText({
                                settings: 'keepalive = 0.4; log = { level = "debug"; file = ""; };',
                                providers: [`{ name = "far"; dialect = "openai"; base = "${upstream.base}"; key = "file:${folder.folder}/provider.key"; }`],
                                models: [model('far', [['far', 'some-model']], ['chat'])],
                                accounts: [`{ name = "tester"; models = ["*"]; keys = ( ${key.row} ); }`],
                        })) });
                });
                after(async () => {
                        await server?.stop();
                        await upstream?.stop();
                });

                it('follows a provider nowhere else', async () => {
                        let followed = false;
                        upstream.answer = (incoming, outgoing) => {
                                followed ||= incoming.url.includes('elsewhere');
                                outgoing.writeHead(302, { location: `${upstream.base}/elsewhere?key=${secret}` }).end();
                        };
                        const answer = await postJson(`${server.baseUrl}/v1/chat/completions`, chat, headers);
                        assert.equal(answer.status, 502, answer.text);
                        assert.ok(!JSON.stringify([answer.headers, answer.text]).includes(secret));
                        assert.equal(followed, false);
                });

                it('sends the provider its own key and none of the client\'s', async () => {
                        upstream.calls.length = 0;
                        upstream.answer = (incoming, outgoing) => outgoing.writeHead(500).end();
                        await postJson(`${server.baseUrl}/v1/chat/completions`, chat, { ...headers, cookie: 'session=1', 'x-forwarded-for': '10.0.0.1', 'openai-organization': 'org-42' });
                        const [call] = upstream.calls;
                        assert.equal(call.headers.authorization, `Bearer ${secret}`);
                        const sent = JSON.stringify(call.headers);
                        for (const foreign of [key.key, 'session=1', '10.0.0.1', 'org-42'])
                                assert.ok(!sent.includes(foreign), sent);
                });

                it('keeps memory and environment to itself', { skip: isCgi(kind) && 'a CGI process is gone before anyone could look' }, async () => {
                        upstream.answer = null;
                        const stream = await openStream(`${server.baseUrl}/v1/chat/completions`, { ...chat, stream: true }, headers);
                        await stream.until('one ');
                        const pids = server.responderPids();
                        assert.ok(pids.length > 0);
                        for (const pid of pids) {
                                assert.match(fs.readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max core file size +0 +0 /m);
                                /* Of a process that can't be dumped, the files here are root's, whoever runs it. */
                                assert.equal(fs.statSync(`/proc/${pid}/mem`).uid, 0);
                                assert.ok(!fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(secret));
                                if (process.getuid() === 0)
                                        assert.ok(!fs.readFileSync(`/proc/${pid}/environ`, 'utf8').includes(secret));
                        }
                        stream.close();
                        upstream.waiting.length = 0;
                });

                it('writes neither key into the log', async () => {
                        await request(`${server.baseUrl}/v1beta/models?key=${key.key}`);
                        await request(`${server.baseUrl}/v1/models`, { headers });
                        await request(`${server.baseUrl}/v1/models`, { headers: { 'x-api-key': `${key.key}x` } });
                        await server.stop();
                        assert.ok(!server.errorLog().includes(secret));
                        assert.ok(!server.errorLog().includes(key.key));
                });
        });
}
