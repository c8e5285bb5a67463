// Nothing is lost: whatever is killed, locked or full, each request that reached the provider is in the ledger exactly once.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { query } from './books.mjs';
import { ownFolder, signal, skipReason, sleep, tmpFolder, waitFor } from './harness.mjs';
import { account, model, promptOf, question, startWorld, stream } from './storm.mjs';

const soak = Boolean(process.env.SOAK);
const millions = { input: 2500000, output: 10000000 }; // per million tokens, in millionths
const hangs = 600000; // ms: a load that is not over by then

// A server with several processes over one ledger. Each request of its load is told by its prompt, which is its id.
const startLoad = async ({ procs, ledger }) => {
        const w = await startWorld({
                accounts: [account('desk')], servers: [['lighttpd-fastcgi', { procs }]],
                settings: { prices: [{ model: 'up-m', input: 2.5, output: 10.0 }], ...(ledger ? { ledger } : {}) },
                models: [model('m', [{ provider: 'openai', model: 'up-m' }], { breaker: { share: 0 }, retry: { attempts: 1 } })],
        });
        const load = { w, server: w.servers[0], asked: [], over: false };
        w.fake.script('up-m', () => ({ text: 'one two three', delay: randomInt(0, 40), wait: randomInt(0, 120), usage: { input: randomInt(1, 5000), output: randomInt(1, 2000) } }));

        const ask = load.ask = async (n) => {
                const id = `q-${n}`, record = { id, status: null, whole: false };
                load.asked.push(record);
                const headers = { 'x-request-id': id };
                try {
                        if (n % 2) {
                                const s = await stream(load.server, w.key.desk, 'm', { prompt: id, headers });
                                record.whole = /\[DONE\]/.test(await s.rest());
                                record.status = s.status;
                        } else {
                                const r = await question(load.server, w.key.desk, 'm', { prompt: id, headers });
                                record.status = r.status;
                                record.whole = r.status === 200;
                        }
                } catch (e) {
                        record.status = 0;
                        record.why = e.message;
                }
        };
        // So many clients, one request after the other, until done(how many were asked).
        load.run = async (clients, done) => {
                const one = async () => {
                        while (!done(load.asked.length)) {
                                await ask(load.asked.length);
                                await sleep(randomInt(0, 30));
                        }
                };
                await Promise.race([Promise.all(Array.from({ length: clients }, one)), new Promise((resolve) => setTimeout(resolve, hangs).unref())]);
                assert.deepEqual(load.asked.filter((r) => r.status === null).map((r) => r.id), [], 'requests that hang');
        };
        // Kills processes at random moments, never the last one: lighttpd looks after them once a second.
        load.kill = async (kills) => {
                for (let killed = 0; killed < kills;) {
                        await sleep(randomInt(20, 350));
                        const pids = load.server.responderPids();
                        killed += pids.length > 1 && signal(pids[randomInt(pids.length)], 'SIGKILL');
                }
        };
        return load;
};

// What the ledger has, once nothing waits any more; then it is held against what the provider saw and the clients got.
const audit = async (load, { ms = 120000 } = {}) => {
        const { w, asked } = load, { ledger } = w.config;
        const seen = new Map();
        for (const r of w.fake.requests.filter((q) => q.model === 'up-m'))
                seen.set(promptOf(r), [...seen.get(promptOf(r)) ?? [], r]);
        const rows = await waitFor(() => {
                const found = query(ledger, 'SELECT * FROM requests');
                const ids = new Set(found.map((r) => r.request_id));
                return [...seen.keys()].every((id) => ids.has(id)) && found;
        }, { ms, every: 300, what: 'a row for each request that the provider saw' });
        const of = new Map();
        for (const r of rows)
                of.set(r.request_id, [...of.get(r.request_id) ?? [], r]);
        const twice = [...of].filter(([, list]) => list.length > 1).map(([id]) => id);
        assert.deepEqual(twice, [], 'rows that are there twice');

        const attempts = new Map(query(ledger, 'SELECT request, count(*) AS n FROM attempts GROUP BY request').map((a) => [String(a.request), a.n]));
        const count = { rows: rows.length, ok: 0, interrupted: 0, unseen: 0, late: 0 };
        const sums = { input: 0, output: 0, cost: 0n }, told = { input: 0, output: 0 };
        for (const row of rows) {
                const calls = seen.get(row.request_id) ?? [], tried = attempts.get(String(row.id)) ?? 0;
                assert.equal(row.attempts, tried, `${row.request_id}: attempts`);
                /* What had begun when its process was killed may not have got as far as the provider. */
                assert.ok(tried === calls.length || (row.outcome === 'interrupted' && tried === calls.length + 1), `${row.request_id} (${row.outcome}): ${tried} in the ledger, ${calls.length} at the provider`);
                count.unseen += tried > calls.length;
                count.interrupted += row.outcome === 'interrupted';
                assert.ok(['ok', 'interrupted', 'left', 'error'].includes(row.outcome), row.outcome);
                if (row.outcome === 'ok') {
                        const { usage } = calls.at(-1).plan;
                        assert.deepEqual([row.input, row.output, row.estimated], [usage.input, usage.output, 0], row.request_id);
                        assert.equal(BigInt(row.cost_pico), BigInt(usage.input) * BigInt(millions.input) + BigInt(usage.output) * BigInt(millions.output));
                        count.ok++;
                        told.input += usage.input;
                        told.output += usage.output;
                        sums.input += row.input;
                        sums.output += row.output;
                } else if (row.outcome === 'interrupted') {
                        assert.ok(row.estimated === 1 && row.input > 0 && row.cost_pico > 0, `${row.request_id} is billed as far as it is known`);
                }
        }
        assert.deepEqual(sums, { ...told, cost: 0n });
        for (const r of asked.filter((a) => a.whole)) {
                const [row] = of.get(r.id) ?? [];
                assert.ok(row, `${r.id} was answered`);
                /* A process may be killed between the last byte of an answer and its line. */
                assert.ok(['ok', 'interrupted'].includes(row.outcome), `${r.id} was answered whole, and is ${row.outcome}`);
                count.late += row.outcome !== 'ok';
        }
        assert.ok(count.ok >= asked.filter((a) => a.whole).length - count.late);
        return count;
};

describe('nothing is lost', { skip: skipReason('lighttpd-fastcgi') }, () => {
        const [kills, requests] = soak ? [100, 5000] : [30, 1500];
        let load;
        before(async () => { load = await startLoad({ procs: 4 }); });
        after(() => load?.w.stop());

        test(`${kills} processes are killed among ${requests} requests`, async (t) => {
                let killing = true;
                await Promise.all([load.kill(kills).finally(() => { killing = false; }), load.run(24, (n) => n >= requests && !killing)]);
                const count = await audit(load);
                t.diagnostic(JSON.stringify({ asked: load.asked.length, whole: load.asked.filter((r) => r.whole).length, ...count }));
                assert.ok(count.interrupted > 0, 'kills met requests');
                assert.ok(count.late <= kills, `${count.late} answers were whole, and their rows are not`);
                assert.ok(load.asked.filter((r) => r.whole).length > load.asked.length / 2, 'most were answered');
        });

        test('the database is locked by another process', async (t) => {
                const from = load.asked.length, held = soak ? 60000 : 8000;
                const db = new DatabaseSync(load.w.config.ledger, { timeout: 60000 });
                db.exec('BEGIN IMMEDIATE');
                const until = Date.now() + held;
                const before = query(load.w.config.ledger, 'SELECT count(*) AS n FROM requests')[0].n;
                await Promise.all([load.run(12, () => Date.now() >= until), load.kill(soak ? 10 : 3)]);
                assert.equal(query(load.w.config.ledger, 'SELECT count(*) AS n FROM requests')[0].n, before, 'nothing got in');
                db.exec('ROLLBACK');
                db.close();
                const mine = load.asked.slice(from);
                assert.ok(mine.length > 50 && mine.filter((r) => r.whole).length > mine.length / 2, 'requests go on');
                t.diagnostic(JSON.stringify(await audit(load)));
                assert.match(load.server.errorLog(), /rows wait in the spool: database is locked/);
        });
});

// A small file system of its own, or why there is none.
const mountSmall = (megabytes) => {
        if (process.getuid() !== 0)
                return { reason: 'only root may mount a small file system' };
        const folder = tmpFolder('tollgate-small-');
        try {
                execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0755`, 'tmpfs', folder], { stdio: 'pipe' });
        } catch (e) {
                return { reason: `no file system can be mounted here: ${String(e.stderr).trim()}` };
        }
        const unmount = () => {
                try {
                        execFileSync('umount', ['-l', folder], { stdio: 'pipe' });
                } catch {
                        /* it is gone already */
                }
        };
        process.once('exit', unmount);
        return { folder, unmount };
};

describe('nothing is lost on a full disk', { skip: skipReason('lighttpd-fastcgi') }, () => {
        const disk = mountSmall(48), skip = disk.reason ?? false;
        let load;
        before(async () => {
                if (!skip)
                        load = await startLoad({ procs: 2, ledger: path.join(ownFolder(path.join(disk.folder, 'books')), 'usage.db') });
        });
        after(async () => {
                await load?.w.stop();
                disk.unmount?.();
        });

        test('requests go on, and their rows come later', { skip }, async (t) => {
                await load.run(8, (n) => n >= 100);
                await audit(load);
                const filler = path.join(disk.folder, 'filler');
                const { bavail, bsize } = statfsSync(disk.folder);
                writeFileSync(filler, Buffer.alloc(Number(bavail) * bsize));
                assert.equal(Number(statfsSync(disk.folder).bavail), 0);
                const from = load.asked.length;
                await load.run(8, (n) => n >= from + 400);
                await waitFor(async () => {
                        await load.ask(load.asked.length); /* lines of threads are told with a request */
                        return /usage\.db: rows wait in the spool: .*full/.test(load.server.errorLog());
                }, { what: 'the log says so', ms: 90000, every: 500 });
                const rows = query(load.w.config.ledger, 'SELECT count(*) AS n FROM requests')[0].n;
                assert.ok(rows < from + 400, `${rows} rows on a full disk: that proves nothing`);
                assert.ok(load.asked.slice(from).every((r) => r.whole), 'requests go on');
                rmSync(filler);
                t.diagnostic(JSON.stringify(await audit(load)));
        });
});
