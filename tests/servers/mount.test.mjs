/* What holds under every server: the mount, the dialects' shapes, bodies, identity, streams, and a graceful end. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { isCgi, kinds, signal, skipReason, sleep, startServer, waitFor } from './harness.mjs';
import { configFolder, configText, model, newKey, openStream, postJson, request, startUpstream } from './gate.mjs';

const chat = { model: 'echo', messages: [{ role: 'user', content: 'Hello there' }] };

/* How each dialect asks, what its answer's text is, and the shape of its errors. */
const dialects = [
        { name: 'openai', path: '/v1/chat/completions', body: (m, text) => ({ model: m, messages: [{ role: 'user', content: text }] }),
          text: (a) => a.choices[0].message.content,
          error: (a) => { assert.equal(typeof a.error.message, 'string'); assert.equal(typeof a.error.type, 'string'); assert.ok('code' in a.error); } },
        { name: 'anthropic', path: '/v1/messages', headers: { 'anthropic-version': '2023-06-01' },
          body: (m, text) => ({ model: m, max_tokens: 100, messages: [{ role: 'user', content: text }] }),
          text: (a) => a.content.map((block) => block.text ?? '').join(''),
          error: (a) => { assert.equal(a.type, 'error'); assert.equal(typeof a.error.type, 'string'); assert.equal(typeof a.error.message, 'string'); } },
        { name: 'gemini', path: (m) => `/v1beta/models/${m}:generateContent`, body: (m, text) => ({ contents: [{ role: 'user', parts: [{ text }] }] }),
          text: (a) => a.candidates[0].content.parts.map((part) => part.text ?? '').join(''),
          error: (a, status) => { assert.equal(a.error.code, status); assert.equal(typeof a.error.status, 'string'); assert.equal(typeof a.error.message, 'string'); } },
        { name: 'plain', path: '/chat', body: (m, text) => ({ model: m, prompt: text }), text: (a) => a.text,
          error: (a) => { assert.equal(typeof a.error.code, 'string'); assert.equal(typeof a.error.message, 'string'); assert.equal(typeof a.error.request_id, 'string'); } },
];
const pathOf = (dialect, name) => (typeof dialect.path === 'function' ? dialect.path(name) : dialect.path);

for (const kind of kinds) {
        describe(kind, { skip: skipReason(kind) }, () => {
                const key = newKey('test');
                let server, url, upstream, folder, text;
                const authorized = { authorization: `Bearer ${key.key}` };

                before(async () => {
                        upstream = await startUpstream();
                        folder = configFolder();
                        folder.file('upstream.key', 'sk-upstream\n');
                        folder.file('evil.conf', configText({ settings: 'anonymous = "public";', models: [model('evil', [['local', 'echo']])],
                                                              accounts: ['{ name = "public"; models = ["*"]; }'] }));
                        text = configText({
                                settings: 'anonymous = "public"; keepalive = 0.4;',
                                providers: [`{ name = "far"; dialect = "openai"; base = "${upstream.base}"; key = "file:${folder.folder}/upstream.key"; }`],
                                models: [model('far', [['far', 'gpt-test']], ['chat'])],
                                accounts: ['{ name = "public"; models = ["echo"]; }', `{ name = "tester"; models = ["*"]; keys = ( ${key.row} ); }`],
                        });
                        server = await startServer(kind, { config: folder.file('tollgate.conf', text) });
                        url = server.baseUrl;
                });
                after(async () => {
                        await server?.stop();
                        await upstream?.stop();
                });

                it('answers /healthz', async () => {
                        const answer = await request(`${url}/healthz`);
                        assert.equal(answer.status, 200);
                        assert.ok(answer.headers['x-request-id']);
                });

                it('leaves the rest of the vhost alone', async () => {
                        for (const path of ['xyz', '/../index.html']) {
                                const answer = await request(url + path);
                                assert.equal(answer.headers['x-request-id'], undefined, path);
                        }
                });

                for (const dialect of dialects) {
                        it(`echoes in ${dialect.name}`, async () => {
                                const answer = await postJson(url + pathOf(dialect, 'echo'), dialect.body('echo', 'Hello there'), dialect.headers);
                                assert.equal(answer.status, 200, answer.text);
                                assert.match(answer.headers['content-type'], /^application\/json/);
                                assert.match(dialect.text(answer.json), /Hello there/);
                                assert.equal(answer.headers['x-tollgate-model'], 'echo');
                                assert.equal(answer.headers['x-content-type-options'], 'nosniff');
                        });

                        it(`says in ${dialect.name} that a model is unknown`, async () => {
                                const answer = await postJson(url + pathOf(dialect, 'nobody'), dialect.body('nobody', 'x'), dialect.headers);
                                assert.equal(answer.status, 404, answer.text);
                                assert.match(answer.headers['content-type'], /^application\/json/);
                                dialect.error(answer.json, 404);
                                assert.match(answer.text, /nobody/);
                        });

                        it(`says in ${dialect.name} that a key is wrong`, async () => {
                                const answer = await postJson(url + pathOf(dialect, 'echo'), dialect.body('echo', 'x'), { ...dialect.headers, authorization: 'Bearer wrong' });
                                assert.equal(answer.status, 401, answer.text);
                                dialect.error(answer.json, 401);
                        });

                        it(`says in ${dialect.name} that a body is broken`, async () => {
                                const answer = await request(url + pathOf(dialect, 'echo'), { headers: { 'content-type': 'application/json', ...dialect.headers }, body: '{"model":' });
                                assert.equal(answer.status, 400, answer.text);
                                dialect.error(answer.json, 400);
                        });

                        it(`says in ${dialect.name} that 33 MB are too many`, async () => {
                                const answer = await request(url + pathOf(dialect, 'echo'), {
                                        headers: { 'content-type': 'application/json', ...dialect.headers }, body: Buffer.alloc(33 << 20, ' ') });
                                assert.equal(answer.status, 413, answer.text.slice(0, 500));
                                dialect.error(answer.json, 413);
                        });
                }

                it('says in the shape of the path that it is unknown', async () => {
                        for (const [path, shape] of [['/v1/nothing', 'openai'], ['/v1beta/nothing', 'gemini'], ['/nothing', 'plain']]) {
                                const answer = await request(url + path);
                                assert.equal(answer.status, 404, `${path}: ${answer.text}`);
                                dialects.find((d) => d.name === shape).error(answer.json, 404);
                        }
                });

                it('knows HEAD, OPTIONS and wrong methods', async () => {
                        const head = await request(`${url}/v1/models`, { method: 'HEAD' });
                        assert.equal(head.status, 200);
                        assert.equal(head.text, '');
                        const options = await request(`${url}/v1/chat/completions`, { method: 'OPTIONS' });
                        assert.equal(options.status, 204);
                        assert.match(options.headers.allow, /POST/);
                        for (const method of ['GET', 'DELETE', 'PUT']) {
                                const wrong = await request(`${url}/v1/chat/completions`, { method });
                                assert.equal(wrong.status, 405, method);
                                assert.match(wrong.headers.allow, /POST/);
                                dialects[0].error(wrong.json, 405);
                        }
                });

                it('reads a chunked body without a length to its end', async () => {
                        const body = JSON.stringify({ ...chat, messages: [{ role: 'user', content: `Hello ${'there '.repeat(30000)}end` }] });
                        const answer = await request(`${url}/v1/chat/completions`, { headers: { 'content-type': 'application/json' },
                                body: [body.slice(0, 10), body.slice(10, 70000), body.slice(70000)] });
                        assert.equal(answer.status, 200, answer.text.slice(0, 500));
                        assert.match(answer.json.choices[0].message.content, /Hello there .* end/);
                });

                it('ignores arguments that are smuggled in as a query', async () => {
                        const answer = await request(`${url}/v1/models?-c+${folder.folder}/evil.conf`);
                        assert.equal(answer.status, 200, answer.text);
                        assert.deepEqual(answer.json.data.map((m) => m.id), ['echo']);
                });

                it('finds the account by each way to send a key', async () => {
                        for (const [path, headers] of [['/v1/models', authorized], ['/v1/models', { 'x-api-key': key.key }], ['/v1/models', { 'x-goog-api-key': key.key }],
                                                       [`/v1beta/models?key=${key.key}`, {}]]) {
                                const answer = await request(url + path, { headers });
                                assert.equal(answer.status, 200, answer.text);
                                assert.match(answer.text, /far/, JSON.stringify([path, headers]));
                        }
                        const both = await request(`${url}/v1/models`, { headers: { ...authorized, 'x-api-key': 'another' } });
                        assert.equal(both.status, 401);
                        const misplaced = await request(`${url}/v1/models?key=${key.key}`);
                        assert.doesNotMatch(misplaced.text, /far/);
                });

                it('writes no query into the access log', { skip: kind === 'apache-htaccess' && 'the host\'s log is the host\'s' }, async () => {
                        const path = `/v1beta/models?key=${key.key}`;
                        await request(url + path);
                        await waitFor(() => /GET \/ai\/v1beta\/models /.test(server.accessLog()), { what: 'a line of the access log' });
                        assert.ok(!server.accessLog().includes(key.key));
                });

                it('passes a stream on event by event', async () => {
                        const stream = await openStream(`${url}/v1/chat/completions`, { ...chat, model: 'far', stream: true }, authorized);
                        assert.equal(stream.status, 200);
                        assert.match(stream.headers['content-type'], /^text\/event-stream/);
                        assert.equal(stream.headers['cache-control'], 'no-cache');
                        /* Each is read before the provider is let to send the next. */
                        await stream.until('one ');
                        await upstream.go();
                        await stream.until('two ');
                        await upstream.go();
                        await stream.until('three ');
                        await upstream.go();
                        assert.match(await stream.rest(), /\[DONE\]/);
                });

                it('ends the call to the provider when the client leaves', async () => {
                        const stream = await openStream(`${url}/v1/chat/completions`, { ...chat, model: 'far', stream: true }, authorized);
                        await stream.until('one ');
                        const call = upstream.calls.at(-1);
                        stream.close();
                        await waitFor(() => call.closed, { what: 'the end of the upstream call', ms: 10000 });
                        upstream.waiting.length = 0;
                });

                it('takes a changed configuration, and keeps the old one when the change is broken', async () => {
                        const names = async () => {
                                const answer = await request(`${url}/v1/models`);
                                return answer.status === 200 ? answer.json.data.map((m) => m.id).join() : answer.status;
                        };
                        const changed = text.replace('name = "echo"', 'name = "renamed"').replace('{ name = "public"; models = ["echo"]', '{ name = "public"; models = ["renamed"]');
                        folder.file('tollgate.conf', changed);
                        await waitFor(async () => (await names()) === 'renamed', { what: 'the changed configuration' });
                        folder.file('tollgate.conf', `${changed}\nsurprise = `);
                        await sleep(1500);
                        if (isCgi(kind)) {
                                assert.equal(await names(), 503);
                                assert.equal((await request(`${url}/healthz`)).status, 503);
                        } else {
                                for (let i = 0; i < 5; i++)
                                        assert.equal(await names(), 'renamed');
                                await waitFor(() => /tollgate\.conf/.test(server.errorLog()), { what: 'a word in the log' });
                        }
                        folder.file('tollgate.conf', text);
                        await waitFor(async () => (await names()) === 'echo', { what: 'the old configuration' });
                });

                it('finishes what runs when it is asked to end', { skip: isCgi(kind) && 'a CGI process has one request' }, async () => {
                        const stream = await openStream(`${url}/v1/chat/completions`, { ...chat, model: 'far', stream: true }, authorized);
                        await stream.until('one ');
                        const pids = server.responderPids();
                        assert.ok(pids.length > 0);
                        pids.forEach((pid) => signal(pid, 'SIGTERM'));
                        await sleep(500);
                        for (let i = 0; i < 3; i++)
                                await upstream.go();
                        const rest = await stream.rest();
                        assert.match(rest, /three /);
                        assert.match(rest, /\[DONE\]/);
                        await waitFor(() => !server.responderPids().some((pid) => pids.includes(pid)), { what: 'the end of the old processes' });
                        /* The web server starts another; behind a socket that is systemd's part. */
                        if (kind !== 'apache-proxy-fcgi')
                                await waitFor(async () => (await request(`${url}/healthz`)).status === 200, { what: 'a new process' });
                });
        });

        describe(`${kind}, with a login in front`, { skip: skipReason(kind) }, () => {
                const key = newKey('test');
                let server, url;
                const login = (user, password) => ({ authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` });
                const models = async (headers) => {
                        const answer = await request(`${url}/v1/models`, { headers });
                        return answer.status === 200 ? answer.json.data.map((m) => m.id).sort().join() : answer.status;
                };

                before(async () => {
                        const folder = configFolder();
                        const config = folder.file('tollgate.conf', configText({
                                settings: 'anonymous = "public";',
                                models: [model('forstaff', [['local', 'echo']]), model('forkeys', [['local', 'echo']])],
                                accounts: ['{ name = "public"; models = ["echo"]; }', '{ name = "staff"; users = ["alice"]; models = ["forstaff"]; }',
                                           `{ name = "tester"; models = ["forkeys"]; keys = ( ${key.row} ); }`],
                        }));
                        server = await startServer(kind, { config, login: { alice: 'wonder', mallory: 'mischief' } });
                        url = server.baseUrl;
                });
                after(() => server?.stop());

                it('takes the user for the account', async () => assert.equal(await models(login('alice', 'wonder')), 'forstaff'));
                it('refuses a user that no account lists', async () => assert.equal(await models(login('mallory', 'mischief')), 403));
                it('leaves a wrong password to the web server', async () => assert.equal(await models(login('alice', 'wrong')), 401));
                it('lets nobody in without a login', async () => assert.equal(await models({}), 401));
                it('lets a key pass by the login', async () => assert.equal(await models({ authorization: `Bearer ${key.key}` }), 'forkeys'));
                it('refuses a wrong key', async () => assert.equal(await models({ authorization: 'Bearer wrong' }), 401));
                it('lets no empty key pass by the login', async () => assert.equal(await models({ authorization: 'Bearer ' }), 401));
                it('believes no header that names a user', async () => {
                        const claimed = { 'remote-user': 'alice', remote_user: 'alice', 'auth-type': 'Basic', 'x-remote-user': 'alice' };
                        assert.equal(await models(claimed), 401);
                });
                it('answers /healthz to all', async () => assert.equal((await request(`${url}/healthz`)).status, 200));
                it('refuses what another site sends in the user\'s name', async () => {
                        const foreign = await postJson(`${url}/v1/chat/completions`, { ...chat, model: 'forstaff' },
                                { ...login('alice', 'wonder'), origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' });
                        assert.equal(foreign.status, 403, foreign.text);
                        const own = await postJson(`${url}/v1/chat/completions`, { ...chat, model: 'forstaff' },
                                { ...login('alice', 'wonder'), 'sec-fetch-site': 'same-origin' });
                        assert.equal(own.status, 200, own.text);
                });
                it('writes no password into a log, right or wrong', async () => {
                        const sent = [login('alice', 'wonder'), login('alice', 'wrong-Pw-71'), login('mallory', 'mischief'), login('nobody', 'guess-Pw-72')];
                        for (const headers of sent) {
                                await models(headers);
                                await postJson(`${url}/v1/chat/completions`, { ...chat, model: 'forstaff' }, headers);
                                await request(`${url}/nothing`, { headers });
                        }
                        await server.stop();
                        const logs = server.errorLog() + server.accessLog();
                        /* The lines of these requests are there, so that the search below means something. */
                        assert.match(logs, /tollgate info \S+ GET \/nothing 404 /);
                        assert.match(logs, /account=staff user:alice/);
                        for (const { authorization } of sent) {
                                const coded = authorization.split(' ')[1];
                                const password = Buffer.from(coded, 'base64').toString().split(':')[1];
                                for (const secret of [coded, password, Buffer.from(password).toString('base64')])
                                        assert.ok(!logs.includes(secret), `${secret} stands in the log`);
                        }
                });
        });

        describe(`${kind}, with a broken configuration`, { skip: skipReason(kind) }, () => {
                it('answers 503 to everything and says why in the log', async () => {
                        const folder = configFolder();
                        const server = await startServer(kind, { config: folder.file('tollgate.conf', 'version = 1;\nmodles = ( );\n'), ready: 503 });
                        try {
                                for (const path of ['/healthz', '/v1/models', '/nothing'])
                                        assert.equal((await request(server.baseUrl + path)).status, 503, path);
                                await waitFor(() => /tollgate\.conf.*modles/s.test(server.errorLog()), { what: 'the reason in the log' });
                        } finally {
                                await server.stop();
                        }
                });
        });
}
