// kill -9 of responders under load, at random moments: no limit is passed, no lease leaks, no request hangs, the state stays whole.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import path from 'node:path';
import { gate } from './fake/provider.mjs';
import { buildDir, signal, skipReason, sleep, waitFor } from './harness.mjs';
import { account, fullest, model, overlap, promptOf, question, startWorld, stream } from './storm.mjs';

const kills = process.env.SOAK ? 500 : 50;
const procs = 4, places = 6, rpm = 400, minute = 60000;
const answered = 40000; // ms: a request that takes longer hangs; it may wait 10 s for its place
const random = (from, to) => from + Math.random() * (to - from);

describe('death', { skip: skipReason('lighttpd-fastcgi') }, () => {
        const accounts = [account('places', { limits: { concurrent: places, queue: 10.0 } }), account('minute', { limits: { rpm } })];
        const killed = [], asked = [];
        let w, server, over = false;

        before(async () => {
                w = await startWorld({
                        accounts, servers: [['lighttpd-fastcgi', { procs }]],
                        models: ['places', 'minute'].map((name) => model(name, [{ provider: 'openai', model: `up-${name}` }], { breaker: { share: 0 } })),
                });
                [server] = w.servers;
                for (const name of ['places', 'minute'])
                        w.fake.script(`up-${name}`, () => ({ text: 'one two three', delay: 30, wait: Math.round(random(0, 150)) }));
        });
        after(() => w?.stop());

        /* One request after the other; what became of each: a status, or 0 where the connection was closed. */
        const load = async (name, i) => {
                for (let n = 0; !over; n++) {
                        const prompt = `${name} ${i} ${n}`, start = Date.now(), record = { name, prompt, start, status: null };
                        asked.push(record);
                        try {
                                if (n % 2) {
                                        const s = await stream(server, w.key[name], name, { prompt });
                                        const text = await s.rest();
                                        record.status = s.status === 200 && !/\[DONE\]/.test(text) ? 0 : s.status;
                                } else {
                                        record.status = (await question(server, w.key[name], name, { prompt })).status;
                                }
                        } catch (e) {
                                record.status = 0;
                                record.why = e.message;
                        }
                        record.end = Date.now();
                        await sleep(name === 'places' ? random(0, 60) : random(50, 350));
                }
        };

        const killThem = async () => {
                while (killed.length < kills) {
                        await sleep(random(20, 350));
                        /* lighttpd looks after its processes once a second: one is left to answer. */
                        const pids = server.responderPids();
                        if (pids.length < 2)
                                continue;
                        const at = Date.now();
                        if (signal(pids[Math.floor(Math.random() * pids.length)], 'SIGKILL'))
                                killed.push(at);
                }
        };

        /*
         * What a call surely took at the provider. Where the client has the whole answer, its process lived until then; where it has
         * not, that process may have been the first that was killed since it asked, whenever the provider noticed.
         */
        const spanOf = (of) => (r) => {
                const { status, start } = of.get(promptOf(r));
                if (r.finished && status === 200)
                        return [r.at, r.sent.at(-1)?.at ?? r.at];
                return [r.at, Math.max(r.at, killed.find((k) => k >= start) ?? r.at)];
        };

        test(`${kills} processes are killed under load`, async () => {
                const clients = [...Array.from({ length: 14 }, (_, i) => load('places', i)), ...Array.from({ length: 5 }, (_, i) => load('minute', i))];
                await killThem();
                over = true;
                await Promise.race([Promise.all(clients), new Promise((resolve) => setTimeout(resolve, answered).unref())]);
                const hanging = asked.filter((r) => r.status === null);
                assert.equal(hanging.length, 0, `requests hang: ${hanging.map((r) => r.prompt)}`);
                for (const r of asked) {
                        assert.ok(r.end - r.start < answered, `${r.prompt} took ${r.end - r.start} ms`);
                        assert.ok([0, 200, 429, 500, 502, 503].includes(r.status), `${r.prompt}: ${r.status}`);
                }
                const well = asked.filter((r) => r.status === 200).length;
                assert.ok(well > asked.length / 3, `${well} of ${asked.length} were answered`);
        });

        test('no limit was passed', () => {
                const calls = (name) => w.fake.requests.filter((r) => r.model === `up-${name}`);
                const of = new Map(asked.map((r) => [r.prompt, r]));
                const most = overlap(calls('places').map(spanOf(of)));
                assert.ok(most <= places, `${most} calls at a time`);
                assert.ok(most >= places - 1, `${most} at a time: there was no load`);
                const longest = Math.max(...calls('minute').map((r) => r.at - of.get(promptOf(r)).start));
                const count = fullest(calls('minute').map((r) => ({ at: r.at, weight: 1 })), minute - longest);
                assert.ok(longest < 20000, `a request took ${longest} ms to get to the provider: that proves nothing`);
                assert.ok(count <= rpm, `${count} calls in ${minute - longest} ms`);
        });

        test('all places are free, and none besides', async () => {
                const held = gate();
                w.fake.script('up-places', { text: 'one two', gates: { 0: held.promise } });
                const seen = w.fake.requests.length;
                await waitFor(() => server.responderPids().length >= 1, { what: 'a responder' });
                const all = [];
                for (let i = 0; i < places; i++)
                        all.push(await stream(server, w.key.places, 'places'));
                await waitFor(() => w.fake.requests.length === seen + places, { what: 'all at the provider', ms: 5000 });
                const last = question(server, w.key.places, 'places');
                const more = await Promise.race([last, sleep(1500)]);
                assert.equal(more, undefined, 'one more waits');
                held.open();
                for (const s of all)
                        assert.match(await s.rest(), /\[DONE\]/);
                assert.equal((await last).status, 200);
        });

        const inFlight = () => {
                const r = spawnSync(path.join(buildDir, 'tollgate'), ['status', '-c', w.config.file, '--json'], { encoding: 'utf8', env: { ...process.env, ...w.config.env } });
                assert.equal(r.status, 0, r.stderr);
                assert.doesNotMatch(r.stderr, /checksum|damaged|set aside|rebuilt|torn/i);
                const flights = [...r.stdout.matchAll(/"in_flight"\s*:\s*(\d+)/g)].map((m) => Number(m[1]));
                assert.ok(flights.length > 0, r.stdout.slice(0, 500));
                return flights.reduce((a, b) => a + b);
        };

        test('the state is whole', async () => {
                /* A client has its last byte just before the place is given back. */
                await waitFor(() => inFlight() === 0, { what: 'nothing in flight', every: 200 });
                assert.doesNotMatch(server.errorLog(), /checksum|damaged|set aside|rebuilt|torn/i);
        });
});
