// Limits that all processes share: four responders under lighttpd and CGI calls beside them, on one state.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { named } from './config.mjs';
import { gate } from './fake/provider.mjs';
import { request } from './gate.mjs';
import { lives, signal, skipReason, sleep, waitFor } from './harness.mjs';
import { account, arrivals, fullest, hammer, model, overlap, question, startWorld, stream, waitOf } from './storm.mjs';

const procs = 4, minute = 60000, slack = 5000;
const skip = skipReason('lighttpd-fastcgi') || skipReason('lighttpd-cgi');
const echoes = (name, fake, script) => fake.script(name, { text: 'Well', usage: { input: 5, output: 50 }, ...script });

const assertRefused = (r, type = 'rate_limit_error') => {
        assert.equal(r.status, 429, r.text);
        assert.equal(JSON.parse(r.text).error.type, type);
        assert.equal(JSON.parse(r.text).error.code, 'rate_limit_exceeded');
        assert.equal(r.headers['x-should-retry'], undefined);
        assert.ok(r.end - r.start < slack, `at once, not after ${r.end - r.start} ms`);
        return waitOf(r);
};

describe('a minute of storms', { skip, concurrency: 8 }, () => {
        const rpm = 300, tpm = 15000;
        const accounts = [
                account('requests', { limits: { rpm } }), account('tokens', { limits: { tpm } }), account('queue', { limits: { rpm: 20, queue: 5.0 } }),
                account('told', { limits: { rpm: 50, tpm: 100000 } }),
        ];
        let w, fast, cgi;
        before(async () => {
                w = await startWorld({
                        accounts, servers: [['lighttpd-fastcgi', { procs }], ['lighttpd-cgi', {}]],
                        models: ['requests', 'tokens', 'queue', 'told'].map((name) => model(name, [{ provider: 'openai', model: `up-${name}` }])),
                });
                [fast, cgi] = w.servers;
                for (const name of ['requests', 'tokens', 'queue', 'told'])
                        echoes(`up-${name}`, w.fake);
        });
        after(() => w?.stop());

        /*
         * A turn is given out between the client's start and the arrival at the provider. So in a window that is shorter by the
         * longest of these times there can't be more arrivals than the limit: that holds however slow this machine is.
         */
        const storm = async (name, max) => {
                const from = Date.now(), until = from + 71000;
                /* Slowly first, so that the window does not free itself all at once. */
                const pause = (ms) => (ms < 5000 ? 400 : 60);
                const clients = [...Array.from({ length: 8 }, () => fast), cgi, cgi];
                const all = await Promise.all(clients.map((server) => hammer(server, w.key[name], name, { from, until, pause, max })));
                const granted = all.flatMap((a) => a.granted), seen = arrivals(w.fake, `up-${name}`);
                assert.equal(seen.size, granted.length, 'as many asked as granted');
                assert.ok(all.slice(8).some((a) => a.granted.length) && all.slice(0, 8).some((a) => a.granted.length), 'both kinds of server had a share');
                for (const r of all.flatMap((a) => a.refused))
                        assert.ok(assertRefused(r) <= 61);
                const calls = granted.map((r) => ({ at: seen.get(r.prompt), start: r.start }));
                const longest = Math.max(...calls.map((c) => c.at - c.start));
                assert.ok(longest < slack, `a request took ${longest} ms to get to the provider: that proves nothing`);
                return { calls, window: minute - longest };
        };

        test(`rpm = ${rpm}: never one more in any minute, and all of it used`, async () => {
                const { calls, window } = await storm('requests', 50);
                const count = (ms) => fullest(calls.map((c) => ({ at: c.at, weight: 1 })), ms);
                assert.ok(count(window) <= rpm, `${count(window)} in ${window} ms`);
                assert.ok(count(minute) >= 0.99 * rpm, `only ${count(minute)} used`);
                assert.ok(calls.length > 1.02 * rpm, `${calls.length} in all: the second minute was not seen`);
        });

        test(`tpm = ${tpm}: never more in any minute, and nearly all of it used`, async () => {
                const { calls, window } = await storm('tokens', 50);
                const tokens = (ms) => fullest(calls.map((c) => ({ at: c.at, weight: 55 })), ms);
                assert.ok(tokens(window) <= tpm, `${tokens(window)} in ${window} ms`);
                /* The last reservation that does not fit is larger than what a call uses. */
                assert.ok(tokens(minute) >= 0.98 * tpm, `only ${tokens(minute)} used`);
        });

        test('the queue: in order, booked, bounded by its time, and a turn that is given back', async () => {
                const ask = (more) => question(fast, w.key.queue, 'queue', more);
                const burst = async () => {
                        for (const r of await Promise.all(Array.from({ length: 10 }, () => ask())))
                                assert.equal(r.status, 200, r.text);
                };
                const from = Date.now();
                const at = (ms) => sleep(Math.max(0, from + ms - Date.now()));
                await burst();
                await at(9000);
                await burst();
                assert.ok(assertRefused(await ask()) >= 40, 'nothing is free for long');

                /* The first ten are free again 61 s after their second, the others 9 s later. */
                await at(57000);
                const waiting = [];
                for (let i = 0; i < 10; i++) {
                        waiting.push(i === 4 ? stream(fast, w.key.queue, 'queue', { prompt: 'waiting 4' }) : ask({ prompt: `waiting ${i}` }));
                        await sleep(60);
                }
                const refused = await ask();
                const wait = assertRefused(refused);
                assert.ok(wait >= 3 && wait <= 14, `retry-after: ${wait}`);
                (await waiting[4]).close();
                /* Only with that turn is there one for this; before it is given back this is refused, which changes nothing. */
                let late;
                do {
                        await sleep(200);
                        late = await ask({ prompt: 'late' });
                } while (late.status !== 200 && Date.now() < from + 62500);
                assert.equal(late.status, 200, `a turn that was given back: ${late.text}`);
                const done = await Promise.all(waiting.filter((_, i) => i !== 4));
                assert.deepEqual(done.map((r) => r.status), done.map(() => 200));
                const seen = arrivals(w.fake, 'up-queue');
                assert.equal(seen.has('waiting 4'), false, 'who left is not served');
                const order = done.map((r) => r.prompt).sort((a, b) => seen.get(a) - seen.get(b));
                done.forEach((r, i) => assert.ok(Math.abs(order.indexOf(r.prompt) - i) <= procs, `order: ${order}`));
                for (const r of done)
                        assert.ok(r.end - r.start <= 5000 + slack, `waited ${r.end - r.start} ms`);

                await sleep(Math.max(0, refused.end + wait * 1000 + 200 - Date.now()));
                assert.equal((await ask()).status, 200, 'asked again after retry-after');
        });

        test('headers tell the tightest limit', async () => {
                const left = [];
                for (let i = 0; i < 3; i++) {
                        const r = await question(i % 2 ? cgi : fast, w.key.told, 'told');
                        assert.equal(r.headers['x-ratelimit-limit-requests'], '50', JSON.stringify(r.headers));
                        assert.equal(r.headers['x-ratelimit-limit-tokens'], '100000');
                        for (const what of ['requests', 'tokens'])
                                assert.match(r.headers[`x-ratelimit-reset-${what}`], /^(?=.)(\d+h)?(\d+m)?(\d+(\.\d+)?s)?(\d+ms)?$/);
                        left.push([Number(r.headers['x-ratelimit-remaining-requests']), Number(r.headers['x-ratelimit-remaining-tokens'])]);
                }
                assert.deepEqual(left.map((l) => l[0]), [49, 48, 47]);
                assert.ok(left[0][1] < 100000 && left[2][1] < left[0][1] && left[2][1] >= 100000 - 3 * 200, `${left}`);
                assert.equal((await question(fast, w.key.requests, 'told')).headers['x-ratelimit-limit-tokens'], undefined, 'no limit, no header');
        });
});

// Seconds until the day ends in a zone.
const dayLeft = (zone) => {
        const parts = Object.fromEntries(new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: 'numeric', minute: 'numeric', second: 'numeric', hour12: false }).formatToParts().map((p) => [p.type, Number(p.value)]));
        return 86400 - (parts.hour % 24) * 3600 - parts.minute * 60 - parts.second;
};

describe('limits', { skip, concurrency: 4 }, () => {
        const zone = 'Asia/Tokyo';
        const accounts = [
                account('free'), account('line', { limits: { concurrent: 2, queue: 20.0 } }), account('bounded', { limits: { concurrent: 1, queue: 30.0, queue_length: 3 } }),
                account('daily', { limits: { rpd: 3, zone } }), account('huge', { limits: { tpm: 1000 } }), account('per-key', { per: 'key', limits: { rpm: 2 } }, 2),
        ];
        const names = ['line', 'bounded', 'daily', 'huge', 'per-key', 'free'];
        let w, fast, cgi;
        before(async () => {
                w = await startWorld({
                        accounts, servers: [['lighttpd-fastcgi', { procs }], ['lighttpd-cgi', {}]],
                        providers: (fake) => [
                                { ...named(fake, 'openai', 'small'), limits: { rpm: 3 } }, { ...named(fake, 'openai', 'narrow'), limits: { concurrent: 1 } }, named(fake, 'openai', 'word'),
                                named(fake, 'anthropic', 'word-anthropic'),
                        ],
                        models: [
                                ...names.map((name) => model(name, [{ provider: 'openai', model: `up-${name}` }])),
                                model('small-pair', [{ provider: 'small', model: 'up-small' }, { provider: 'openai', model: 'up-large' }]),
                                model('small-alone', [{ provider: 'small', model: 'up-small' }], { total: 3.0 }),
                                model('narrow-pair', [{ provider: 'narrow', model: 'up-narrow' }, { provider: 'openai', model: 'up-wide' }]),
                                model('target-pair', [{ provider: 'openai', model: 'up-target', limits: { rpm: 2 } }, { provider: 'openai', model: 'up-other' }]),
                                model('word-pair', [{ provider: 'word', model: 'up-word' }, { provider: 'openai', model: 'up-second' }]),
                                model('word-pair-anthropic', [{ provider: 'word-anthropic', model: 'up-word-anthropic' }, { provider: 'openai', model: 'up-second' }]),
                        ],
                });
                [fast, cgi] = w.servers;
        });
        after(() => w?.stop());
        const served = (r) => (assert.equal(r.status, 200, r.text), r.headers['x-tollgate-provider']);

        test('concurrent, over all processes, in order of arrival', async () => {
                echoes('up-line', w.fake, { wait: 300 });
                const asked = [];
                for (let i = 0; i < 12; i++) {
                        asked.push(question(i % 4 === 3 ? cgi : fast, w.key.line, 'line', { prompt: `line ${i}` }));
                        await sleep(80);
                }
                const done = await Promise.all(asked);
                assert.deepEqual(done.map((r) => r.status), done.map(() => 200));
                const records = w.fake.requests.filter((r) => r.model === 'up-line');
                assert.equal(records.length, 12);
                assert.ok(overlap(records.map((r) => [r.at, r.at + 300])) <= 2, 'two at a time');
                const seen = arrivals(w.fake, 'up-line');
                const order = done.map((r) => r.prompt).sort((a, b) => seen.get(a) - seen.get(b));
                done.forEach((r, i) => assert.ok(Math.abs(order.indexOf(r.prompt) - i) <= procs, `order: ${order}`));
        });

        test('queue_length bounds those who wait; nobody else waits with them', async () => {
                const held = gate();
                echoes('up-bounded', w.fake, { gates: { 0: held.promise } });
                echoes('up-free', w.fake);
                const first = await stream(fast, w.key.bounded, 'bounded');
                await waitFor(() => arrivals(w.fake, 'up-bounded').size === 1, { what: 'the first call' });
                const waiting = [];
                for (let i = 0; i < 3; i++) {
                        waiting.push(question(i % 2 ? cgi : fast, w.key.bounded, 'bounded'));
                        await sleep(700);
                }
                for (const server of [fast, cgi])
                        assertRefused(await question(server, w.key.bounded, 'bounded'));
                for (const server of [fast, cgi]) {
                        assert.equal((await request(`${server.baseUrl}/healthz`)).status, 200);
                        assert.equal((await question(server, w.key.free, 'free')).status, 200);
                }
                assert.equal(arrivals(w.fake, 'up-bounded').size, 1, 'they do wait');
                held.open();
                assert.match(await first.rest(), /\[DONE\]/);
                for (const r of await Promise.all(waiting))
                        assert.equal(r.status, 200, r.text);
        });

        test('a day turns at midnight of its zone', async () => {
                echoes('up-daily', w.fake);
                for (let i = 0; i < 3; i++)
                        assert.equal((await question(i % 2 ? cgi : fast, w.key.daily, 'daily')).status, 200);
                const wait = assertRefused(await question(fast, w.key.daily, 'daily'));
                const off = Math.abs(wait - dayLeft(zone));
                assert.ok(off < 30 || Math.abs(off - 86400) < 30, `retry-after: ${wait}, the day has ${dayLeft(zone)} s left`);
        });

        test('what no minute can hold is refused for good', async () => {
                echoes('up-huge', w.fake);
                const r = await question(fast, w.key.huge, 'huge', { prompt: 'many words '.repeat(3000) });
                assert.ok([400, 413, 429].includes(r.status), `${r.status}: ${r.text}`);
                assert.equal(r.headers['x-should-retry'], 'false');
                assert.equal(arrivals(w.fake, 'up-huge').size, 0);
                assert.equal((await question(fast, w.key.huge, 'huge')).status, 200);
        });

        test('per key: each has its own', async () => {
                echoes('up-per-key', w.fake);
                for (const key of w.keys['per-key']) {
                        for (let i = 0; i < 2; i++)
                                assert.equal((await question(i % 2 ? cgi : fast, key, 'per-key')).status, 200);
                        assertRefused(await question(fast, key, 'per-key'));
                }
        });

        test('limits of a provider send the rest to the second target; alone it is 503 with the time', async () => {
                for (const name of ['up-small', 'up-large'])
                        echoes(name, w.fake);
                const by = [];
                for (let i = 0; i < 5; i++)
                        by.push(served(await question(i % 2 ? cgi : fast, w.key.free, 'small-pair')));
                assert.deepEqual(by, ['small', 'small', 'small', 'openai', 'openai']);
                const alone = await question(fast, w.key.free, 'small-alone');
                assert.equal(alone.status, 503, alone.text);
                assert.ok(waitOf(alone) >= 30 && waitOf(alone) <= 61, `retry-after: ${waitOf(alone)}`);
                assert.ok(alone.end - alone.start < slack, 'at once');
                assert.equal(arrivals(w.fake, 'up-small').size, 3);
        });

        test('limits of a target, and calls under way at a provider', async () => {
                for (const name of ['up-target', 'up-other', 'up-wide'])
                        echoes(name, w.fake);
                const seen = [];
                for (let i = 0; i < 3; i++)
                        seen.push((await question(fast, w.key.free, 'target-pair')).headers['x-tollgate-served-model']);
                assert.deepEqual(seen, ['up-target', 'up-target', 'up-other']);
                const held = gate();
                echoes('up-narrow', w.fake, { gates: { 0: held.promise } });
                const first = await stream(fast, w.key.free, 'narrow-pair');
                await waitFor(() => arrivals(w.fake, 'up-narrow').size === 1, { what: 'the first call' });
                assert.equal(served(await question(fast, w.key.free, 'narrow-pair')), 'openai');
                held.open();
                assert.match(await first.rest(), /\[DONE\]/);
                await waitFor(async () => {
                        echoes('up-narrow', w.fake);
                        return served(await question(cgi, w.key.free, 'narrow-pair')) === 'narrow';
                }, { what: 'the place of the first' });
        });

        test('the word of a provider holds for everyone', async () => {
                const soon = new Date(Date.now() + 40000).toISOString().replace(/\.\d+/, '');
                echoes('up-second', w.fake);
                echoes('up-word', w.fake, { headers: { 'x-ratelimit-limit-requests': '10', 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0s' } });
                echoes('up-word-anthropic', w.fake, { headers: { 'anthropic-ratelimit-requests-limit': '10', 'anthropic-ratelimit-requests-remaining': '0', 'anthropic-ratelimit-requests-reset': soon } });
                for (const [name, first] of [['word-pair', 'word'], ['word-pair-anthropic', 'word-anthropic']]) {
                        assert.equal(served(await question(fast, w.key.free, name)), first);
                        for (const server of [fast, cgi])
                                assert.equal(served(await question(server, w.key.free, name)), 'openai', name);
                }
        });
});

describe('one process', { skip }, () => {
        const login = (user) => ({ authorization: `Basic ${Buffer.from(`${user}:secret`).toString('base64')}` });
        const accounts = [
                account('crowd', { limits: { concurrent: 1, queue: 30.0 } }), account('other'), account('two', { limits: { concurrent: 2 } }),
                account('staff', { users: ['*'], per: 'user', limits: { rpm: 2 } }), account('public', { per: 'address', limits: { rpm: 2 } }),
        ];
        let w, server, guarded;
        before(async () => {
                w = await startWorld({
                        settings: { workers: 8, anonymous: 'public' }, accounts,
                        servers: [['lighttpd-fastcgi', {}], ['lighttpd-fastcgi', { login: { alice: 'secret', bob: 'secret' } }]],
                        models: ['crowd', 'other', 'two', 'staff', 'public'].map((name) => model(name, [{ provider: 'openai', model: `up-${name}` }])),
                });
                [server, guarded] = w.servers;
                for (const name of ['other', 'staff', 'public'])
                        echoes(`up-${name}`, w.fake);
        });
        after(() => w?.stop());

        test('those who wait never take the last workers', async () => {
                const held = gate();
                echoes('up-crowd', w.fake, { gates: { 0: held.promise } });
                const first = await stream(server, w.key.crowd, 'crowd');
                await waitFor(() => arrivals(w.fake, 'up-crowd').size === 1, { what: 'the first call' });
                const crowd = Array.from({ length: 20 }, () => question(server, w.key.crowd, 'crowd'));
                await sleep(1000);
                assert.equal((await request(`${server.baseUrl}/healthz`)).status, 200);
                const other = await question(server, w.key.other, 'other');
                assert.equal(other.status, 200, `another account: ${other.text}`);
                assert.ok(other.end - other.start < slack);
                held.open();
                assert.match(await first.rest(), /\[DONE\]/);
                const done = await Promise.all(crowd);
                for (const r of done) {
                        assert.ok([200, 429, 503].includes(r.status), r.text);
                        if (r.status !== 200)
                                waitOf(r);
                }
                assert.ok(done.some((r) => r.status === 200), 'some did wait');
        });

        test('the leases of a killed process are free at once', async () => {
                const held = gate();
                echoes('up-two', w.fake, { gates: { 0: held.promise } });
                const streams = [await stream(server, w.key.two, 'two'), await stream(server, w.key.two, 'two')];
                streams.forEach((each) => each.rest().catch(() => {}));
                await waitFor(() => arrivals(w.fake, 'up-two').size === 2, { what: 'two calls' });
                assertRefused(await question(server, w.key.two, 'two'));
                /* The other server has a process of its own on the same state: it need not wait for a new one. */
                assertRefused(await question(guarded, w.key.two, 'two'));
                echoes('up-two', w.fake);
                const killed = server.responderPids();
                killed.forEach((pid) => signal(pid, 'SIGKILL'));
                await waitFor(() => !killed.some(lives), { what: 'their end', every: 5 });
                const after = await Promise.all([question(guarded, w.key.two, 'two'), question(guarded, w.key.two, 'two')]);
                assert.deepEqual(after.map((r) => r.status), [200, 200], after.map((r) => r.text).join());
                held.open();
                await waitFor(async () => (await request(`${server.baseUrl}/healthz`)).status === 200, { what: 'a new process' });
        });

        test('per user', async () => {
                const ask = (user) => question(guarded, null, 'staff', { headers: login(user) });
                for (const user of ['alice', 'bob']) {
                        for (let i = 0; i < 2; i++)
                                assert.equal((await ask(user)).status, 200);
                        assertRefused(await ask(user));
                }
        });

        test('per address', async () => {
                const ask = (localAddress) => question(server, null, 'public', { localAddress });
                for (const address of ['127.0.0.1', '127.0.0.2']) {
                        for (let i = 0; i < 2; i++)
                                assert.equal((await ask(address)).status, 200);
                        assertRefused(await ask(address));
                }
        });
});
