/* GET /status.json: who may see it, and what it shows of calls under way, of a breaker, and after `tollgate reset`. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { stateFile } from './config.mjs';
import { configFolder, configText, model, newKey, openStream, postJson, request, startUpstream } from './gate.mjs';
import { buildDir, kinds, skipReason, startServer, waitFor } from './harness.mjs';

const messages = [{ role: 'user', content: 'Hello' }];
const bearer = (key) => ({ authorization: `Bearer ${key.key}` });
const login = (user, password) => ({ authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` });

for (const kind of kinds) {
        describe(`operators over ${kind}, with a login in front`, { skip: skipReason(kind) }, () => {
                const ops = newKey('ops'), staff = newKey('staff');
                let server, url;
                const status = async (headers, method) => (await request(`${url}/status.json`, { headers, method })).status;
                before(async () => {
                        server = await startServer(kind, { login: { root: 'secret', alice: 'wonder', wizard: 'magic' }, config: configFolder().file('tollgate.conf', configText({
                                settings: `anonymous = "public"; state = "${stateFile()}"; operators = { users = [ "root", "wizard" ]; accounts = [ "ops" ]; };`,
                                accounts: ['{ name = "public"; models = ["echo"]; }', `{ name = "ops"; models = ["*"]; keys = ( ${ops.row} ); }`,
                                           `{ name = "staff"; users = ["alice", "root"]; models = ["*"]; keys = ( ${staff.row} ); }`],
                        })) });
                        url = server.baseUrl;
                });
                after(() => server?.stop());

                it('lets users and accounts in that are listed', async () => {
                        assert.equal(await status(login('root', 'secret')), 200);
                        assert.equal(await status(bearer(ops)), 200);
                        assert.equal(await status(login('wizard', 'magic')), 200, 'an operator needs no account');
                });
                it('lets nobody else in', async () => {
                        assert.equal(await status(login('alice', 'wonder')), 403);
                        assert.equal(await status(bearer(staff)), 403);
                        assert.equal(await status({}), 401);
                        assert.equal(await status({ authorization: 'Bearer wrong' }), 401);
                });
                it('lets no page of another site in by an operator\'s login', async () => {
                        const foreign = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' };
                        assert.equal(await status({ ...login('root', 'secret'), ...foreign }), 403);
                        assert.equal(await status({ ...login('root', 'secret'), 'sec-fetch-site': 'same-origin' }), 200);
                });
                it('answers HEAD, OPTIONS and wrong methods', async () => {
                        const head = await request(`${url}/status.json`, { headers: bearer(ops), method: 'HEAD' });
                        assert.equal(head.status, 200);
                        assert.equal(head.text, '');
                        assert.match(head.headers['content-type'], /^application\/json/);
                        assert.equal(await status(bearer(ops), 'OPTIONS'), 204);
                        const wrong = await request(`${url}/status.json`, { headers: bearer(ops), method: 'DELETE' });
                        assert.equal(wrong.status, 405);
                        assert.equal(wrong.headers.allow, 'GET, HEAD, OPTIONS');
                });
                it('answers with an object that nobody keeps', async () => {
                        const answer = await request(`${url}/status.json`, { headers: bearer(ops) });
                        assert.equal(answer.headers['cache-control'], 'private, no-store');
                        assert.deepEqual(Object.keys(answer.json), ['at', 'targets', 'targets_left_out', 'providers', 'accounts', 'budgets', 'versions']);
                        assert.deepEqual(answer.json.accounts.map((a) => a.name), ['public', 'ops', 'staff']);
                        assert.ok(Math.abs(Date.parse(answer.json.at) - Date.now()) < 120000);
                });
        });

        describe(`operators over ${kind}, by address`, { skip: skipReason(kind) }, () => {
                const key = newKey('test');
                let server, url;
                const status = async (headers) => (await request(`${url}/status.json`, { headers })).status;
                before(async () => {
                        server = await startServer(kind, { config: configFolder().file('tollgate.conf', configText({
                                settings: `state = "${stateFile()}"; operators = { from = [ "192.0.2.0/24", "127.0.0.0/8" ]; };`,
                                accounts: [`{ name = "tester"; models = ["*"]; keys = ( ${key.row} ); }`],
                        })) });
                        url = server.baseUrl;
                });
                after(() => server?.stop());

                it('lets the peer in, with a key that is good or with none', async () => {
                        assert.equal(await status({}), 200);
                        assert.equal(await status(bearer(key)), 200);
                        assert.equal(await status({ authorization: 'Bearer wrong' }), 401);
                });
                it('does not where a proxy stands between', async () => {
                        for (const header of ['x-forwarded-for', 'forwarded', 'x-real-ip', 'via', 'x-forwarded-host']) {
                                assert.equal(await status({ [header]: '127.0.0.1' }), 401, header);
                                assert.equal(await status({ [header]: '127.0.0.1', ...bearer(key) }), 403, header);
                        }
                });
        });

        describe(`the status over ${kind}`, { skip: skipReason(kind) }, () => {
                const key = newKey('test');
                let server, url, upstream, config;
                const status = async () => (await request(`${url}/status.json`, { headers: bearer(key) })).json;
                const named = (rows, name) => rows.find((row) => row.name === name);
                const tollgate = async (...args) => {
                        const { stdout } = await promisify(execFile)(path.join(buildDir, 'tollgate'), [args[0], '-c', config, ...args.slice(1)]);
                        return stdout;
                };
                before(async () => {
                        upstream = await startUpstream();
                        config = configFolder().file('tollgate.conf', configText({
                                settings: `keepalive = 0.4; state = "${stateFile()}"; operators = { accounts = [ "tester" ]; };`,
                                providers: [`{ name = "far"; dialect = "openai"; base = "${upstream.base}"; key = "sk-upstream"; limits = { rpm = 1000; concurrent = 9; }; }`],
                                models: [model('far', [['far', 'gpt-test']], ['chat'], 'breaker = { share = 0.1; minimum = 2; window = 3600.0; cooldown = 3600.0; }; retry = { attempts = 1; };')],
                                accounts: [`{ name = "tester"; models = ["*"]; keys = ( ${key.row} ); limits = { rpm = 1000; tpm = 1000000; concurrent = 5; }; }`],
                        }));
                        server = await startServer(kind, { config });
                        url = server.baseUrl;
                });
                after(async () => {
                        await server?.stop();
                        await upstream?.stop();
                });

                it('shows a stream while it runs, and no longer', async () => {
                        const stream = await openStream(`${url}/v1/chat/completions`, { model: 'far', messages, stream: true }, bearer(key));
                        await stream.until('one ');
                        const now = await status();
                        for (const [rows, name] of [[now.targets, 'far/gpt-test'], [now.providers, 'far'], [now.accounts, 'tester']])
                                assert.equal(named(rows, name).in_flight, 1, name);
                        assert.equal(named(now.accounts, 'tester').limits.concurrent.left, 4);
                        assert.ok(named(now.accounts, 'tester').limits.tpm.used > 0);
                        const { max, used, left } = named(now.providers, 'far').limits.rpm;
                        assert.deepEqual({ max, used, left }, { max: 1000, used: 1, left: 999 });
                        for (let i = 0; i < 3; i++)
                                await upstream.go();
                        await stream.rest();
                        await waitFor(async () => {
                                const then = await status();
                                return [...then.targets, ...then.providers, ...then.accounts].every((row) => !row.in_flight);
                        }, { what: 'the end of the call in the status' });
                        const target = named((await status()).targets, 'far/gpt-test');
                        assert.equal(target.served.model, 'gpt-test');
                        assert.ok(target.first_token.average_ms >= 0);
                });

                it('shows a breaker, and that it was reset', async () => {
                        upstream.answer = (incoming, outgoing) => outgoing.writeHead(500, { 'content-type': 'application/json' })
                                .end('{"error":{"message":"the engine room is on fire","type":"server_error"}}');
                        const ask = () => postJson(`${url}/v1/chat/completions`, { model: 'far', messages }, bearer(key));
                        const breaker = async () => named((await status()).targets, 'far/gpt-test').breaker;
                        await waitFor(async () => {
                                await ask();
                                return (await breaker()).state === 'open';
                        }, { ms: 60000, what: 'an open breaker' });
                        const open = await breaker();
                        assert.equal(open.status, 500);
                        assert.equal(typeof open.cause, 'string');
                        assert.ok(open.left_seconds > 3000 && open.failed >= 1 && open.share > 0, JSON.stringify(open));
                        assert.match(await tollgate('status', 'far/gpt-test'), /^far\/gpt-test +open .*\n {2}open since .*\(500\)/m);

                        upstream.answer = null;
                        assert.match(await tollgate('reset', 'target:far/gpt-test'), /^cleared target:far\/gpt-test$/m);
                        assert.deepEqual((({ state, calls }) => ({ state, calls }))(await breaker()), { state: 'closed', calls: 0 });
                        const seen = JSON.parse(await tollgate('status', '--json'));
                        assert.deepEqual(seen.targets.map((t) => t.name), (await status()).targets.map((t) => t.name));
                        const stream = await openStream(`${url}/v1/chat/completions`, { model: 'far', messages, stream: true }, bearer(key));
                        await stream.until('one ');
                        stream.close();
                        upstream.waiting.length = 0;
                });
        });
}
