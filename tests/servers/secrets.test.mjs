/* A provider's key reaches no answer, no log and no other process, whatever the provider says. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { isCgi, kinds, skipReason, startServer } from './harness.mjs';
import { configFolder, configText, model, newKey, openStream, postJson, request, startUpstream } from './gate.mjs';

const secret = 'sk-proj-Zq7vN3xTfQ2hB8wLmYcRd5KpUeAo9GjS';
const chat = { model: 'far', messages: [{ role: 'user', content: 'Hello' }] };

/* Ways in which a provider may hand the key back. */
const tales = {
        'in an error': (incoming, outgoing) => outgoing.writeHead(401, { 'content-type': 'application/json' })
                .end(JSON.stringify({ error: { message: `Incorrect API key provided: ${secret}.`, type: 'invalid_request_error', code: 'invalid_api_key' } })),
        'in a refusal of the request': (incoming, outgoing) => outgoing.writeHead(400, { 'content-type': 'application/json' })
                .end(JSON.stringify({ error: { message: `The key ${incoming.headers.authorization} may not do that.`, type: 'invalid_request_error' } })),
        'in an error that is no JSON': (incoming, outgoing) => outgoing.writeHead(500, { 'content-type': 'text/html' })
                .end(`<h1>${incoming.headers.authorization}</h1>`),
        'in a header': (incoming, outgoing) => outgoing.writeHead(500, { 'content-type': 'application/json', 'x-key': secret, 'www-authenticate': `Bearer ${secret}` }).end('{}'),
        'in an error inside a stream': (incoming, outgoing) => {
                outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
                outgoing.end(`data: {"error":{"message":"bad key ${secret}","type":"server_error"}}\n\n`);
        },
        'in a redirect': (incoming, outgoing) => outgoing.writeHead(302, { location: `http://127.0.0.1:1/?key=${secret}` }).end(),
};

for (const kind of kinds) {
        describe(`secrets under ${kind}`, { skip: skipReason(kind) }, () => {
                const key = newKey('test');
                const headers = { authorization: `Bearer ${key.key}` };
                let server, upstream, folder;

                before(async () => {
                        upstream = await startUpstream();
                        folder = configFolder();
                        const provider = (name, dialect, base) =>
                                `{ name = "${name}"; dialect = "${dialect}"; base = "${base}"; key = "file:${folder.folder}/provider.key"; }`;
                        folder.file('provider.key', `${secret}\n`);
                        server = await startServer(kind, { config: folder.file('tollgate.conf', configText({
                                settings: 'log = { level = "debug"; file = ""; };',
                                providers: [provider('far', 'openai', upstream.base), provider('gem', 'gemini', upstream.base.replace('/v1', '')),
                                            provider('claude', 'anthropic', upstream.base.replace('/v1', '')), provider('dead', 'gemini', 'http://127.0.0.1:1')],
                                models: ['far', 'gem', 'claude', 'dead'].map((name) => model(name, [[name, 'some-model']], ['chat'])),
                                accounts: [`{ name = "tester"; models = ["*"]; keys = ( ${key.row} ); }`],
                        })) });
                });
                after(async () => {
                        await server?.stop();
                        await upstream?.stop();
                });

                const holdsNone = (answer) => {
                        const all = JSON.stringify([answer.headers, answer.text]);
                        assert.ok(!all.includes(secret), all);
                        assert.ok(!all.includes(folder.folder), `a file's path: ${all}`);
                        assert.ok(!all.includes('127.0.0.1:'), `an internal address: ${all}`);
                };

                for (const [how, tale] of Object.entries(tales)) {
                        it(`hides a key that comes back ${how}`, async () => {
                                upstream.answer = tale;
                                for (const name of ['far', 'gem', 'claude']) {
                                        for (const stream of [false, true]) {
                                                const answer = await postJson(`${server.baseUrl}/v1/chat/completions`, { ...chat, model: name, stream }, headers);
                                                assert.ok(answer.status >= 400 || stream, `${name}: ${answer.status}`);
                                                holdsNone(answer);
                                        }
                                        holdsNone(await postJson(`${server.baseUrl}/v1/messages`, { ...chat, model: name, max_tokens: 9 }, headers));
                                        holdsNone(await postJson(`${server.baseUrl}/chat`, { model: name, prompt: 'Hello' }, headers));
                                }
                        });
                }

                it('hides where a provider is that does not answer', async () => {
                        const answer = await postJson(`${server.baseUrl}/v1/chat/completions`, { ...chat, model: 'dead' }, headers);
                        assert.equal(answer.status, 502, answer.text);
                        holdsNone(answer);
                });

                it('sends the provider its own key and none of the client\'s', async () => {
                        upstream.calls.length = 0;
                        upstream.answer = tales['in an error'];
                        await postJson(`${server.baseUrl}/v1/chat/completions`, chat, { ...headers, cookie: 'session=1', 'x-forwarded-for': '10.0.0.1', 'openai-organization': 'org' });
                        const [call] = upstream.calls;
                        assert.equal(call.headers.authorization, `Bearer ${secret}`);
                        const sent = JSON.stringify(call.headers);
                        for (const foreign of [key.key, 'session=1', '10.0.0.1', 'org'])
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
