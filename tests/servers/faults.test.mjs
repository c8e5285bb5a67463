// A provider that breaks on purpose: every row of the table, from each dialect, streaming and not, alone and with a second target.
// What the client saw, what the provider saw, how long it took.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ask, assertTold, clients, dialects, ended, nextDialect, retryAfter, textOf } from './ask.mjs';
import { named, stateFile, writeConfig } from './config.mjs';
import { startFake } from './fake/provider.mjs';
import { limitedFor, rows, timeouts } from './fault-rows.mjs';
import { freePort, isCgi, kinds, removeFolder, skipReason, startServer, waitFor } from './harness.mjs';

const backoff = 200, slack = 5000; // ms; the latter: what a busy machine may add
const text = 'one two three four', secondText = 'Second to none';
const closed = await freePort();
const asked = (fake, upstream) => fake.requests.filter((r) => r.model === upstream);

/* ---------------------------------------------------------------- the world */

// A label of 70 bytes is no name, which the library knows without asking anyone: a resolver may be slow.
// Each case has its own upstream models, and so its own targets: what one learns of them is not another's.
const providersOf = (fake) => dialects.flatMap((d) => [
        ...Object.entries(timeouts).map(([name, times]) => ({ ...named(fake, d, `${name}-${d}`), timeouts: times })),
        { ...named(fake, d, `refused-${d}`), base: `http://127.0.0.1:${closed}`, timeouts: timeouts.usual },
        { ...named(fake, d, `dns-${d}`), base: `http://${'x'.repeat(70)}.invalid`, timeouts: timeouts.usual },
        { ...named(fake, d, `tls-${d}`), base: fake.base(d).replace('http:', 'https:'), timeouts: timeouts.usual },
]);

const modelOf = (name, targets, version = {}, windows = {}) => ({
        row: {
                name, tasks: ['chat'],
                versions: [{ name: '1', total: 12.0, retry: { attempts: 2, backoff: backoff / 1000, max_backoff: 1.0 }, targets: targets.map(([provider, model]) => ({ provider, model })), ...version }],
        },
        windows,
});

const setUp = async (s, models, more = {}) => {
        s.fake = await startFake();
        const built = models(s.fake);
        const catalogue = built.flatMap((m) => Object.entries(m.windows).map(([model, window]) => ({ model, window })));
        s.config = writeConfig(s.fake, {
                settings: { state: stateFile(), workers: 40, keepalive: s.keepalive ?? 30, ...(catalogue.length ? { catalogue } : {}) },
                providers: [...providersOf(s.fake), ...more.providers?.(s.fake) ?? []], models: built.map((m) => m.row),
        });
        s.server = await startServer(s.kind, { config: s.config.file, env: s.config.env });
        s.url = s.server.baseUrl;
};

const tearDown = async (s) => {
        await s.server?.stop();
        await s.fake?.stop();
        if (s.config)
                removeFolder(s.config.folder);
        assert.doesNotMatch(s.server?.errorLog() ?? '', /AddressSanitizer|LeakSanitizer|runtime error:/, 'what a sanitizer found');
        assert.deepEqual(s.fake?.violations ?? [], [], 'what went to the provider');
};

const world = (title, kind, options, models, body) => describe(`${title} over ${kind}`, { skip: skipReason(kind), concurrency: options.concurrency ?? 1 }, () => {
        const s = { kind, keepalive: options.keepalive };
        before(() => setUp(s, models, options));
        after(() => tearDown(s));
        body(s);
});

/* ---------------------------------------------------------------- the table */

const casesOf = (row, place, wanted) => [false, true].filter((stream) => (row.streams ?? stream) === stream).flatMap((stream) => ['alone', 'pair'].flatMap(
        (arrangement) => wanted.map((client, i) => {
                const list = row.dialects ?? dialects;
                /* Over the rows, every dialect asks every other. */
                const first = list[(i + place + (stream ? 1 : 0)) % list.length];
                const id = `${place}-${stream ? 's' : 'w'}-${arrangement}-${client}`;
                return { row, stream, arrangement, client, first, model: `m-${id}`, upstream: [`x-${id}-1`, `x-${id}-2`] };
        })));

const modelsOf = (c) => {
        const first = `${c.row.at ?? c.row.limits ?? 'usual'}-${c.first}`;
        const targets = [[first, c.upstream[0]], ...(c.arrangement === 'pair' ? [[`usual-${nextDialect(c.first)}`, c.upstream[1]]] : [])];
        return modelOf(c.model, targets, {}, c.row.window ? { [c.upstream[0]]: 8000, [c.upstream[1]]: 200000 } : {});
};

const triesOf = (s, c, r) => {
        const list = [c.row.tries].flat(), told = Number(r.headers.get('x-tollgate-attempts'));
        const more = c.arrangement === 'pair' && c.row.ends === 'next' ? 1 : 0;
        const first = asked(s.fake, c.upstream[0]), what = `${told} attempts, ${first.length} seen at the first target`;
        /* With a keep-alive the head goes out before all attempts are made. */
        if (!(s.keepalive && c.stream))
                assert.ok(list.includes(told - more), `x-tollgate-attempts: ${what}`);
        if (c.row.at)
                return;
        /* A connection that was reused and closed with no byte of an answer may be opened again for the same attempt. */
        const most = c.row.script?.cut !== undefined ? 2 * Math.max(...list) : Math.max(...list);
        assert.ok(first.length >= Math.min(...list) && first.length <= most, what);
        for (let i = 1; i < first.length; i++)
                assert.ok(first[i].at - first[i - 1].at <= backoff + slack, `tried again after ${first[i].at - first[i - 1].at} ms`);
};

const checkSecond = (s, c, r) => {
        const seen = asked(s.fake, c.upstream[1]);
        const wanted = c.row.ends === 'next' && c.arrangement === 'pair' ? 1 : 0;
        assert.equal(seen.length, wanted, 'requests at the second target');
        if (wanted && !c.row.at)
                assert.ok(seen[0].at >= asked(s.fake, c.upstream[0]).at(-1).at, 'the second after the first');
        if (wanted && !(s.keepalive && c.stream))
                assert.equal(r.headers.get('x-tollgate-provider'), `usual-${nextDialect(c.first)}`);
};

const toldOneOf = (c, r, list, what) => {
        const problems = [];
        for (const cause of list)
                try {
                        return [cause, assertTold(c.client, r, cause, { status: c.row.status, what })];
                } catch (e) {
                        problems.push(e);
                }
        throw problems[0];
};

const outcomes = {
        next: (s, c, r) => {
                if (c.arrangement === 'alone')
                        return outcomes.given(s, c, r);
                assert.equal(r.status, 200, r.text);
                assert.equal(textOf[c.client](r), secondText);
                if (c.stream)
                        assert.ok(ended[c.client](r.text), r.text);
        },
        given: (s, c, r) => {
                const [cause, e] = toldOneOf(c, r, c.row.alone, 'what it says');
                if (c.row.words)
                        assert.match(e.message, c.row.words);
                if (cause === 'overloaded' && r.status !== 200) {
                        const [least, most] = c.row.retryAfter ?? [1, 60];
                        assert.ok(retryAfter(r) >= least && retryAfter(r) <= most, `retry-after: ${retryAfter(r)}`);
                }
        },
        broken: (s, c, r) => {
                assert.equal(r.status, 200, r.text);
                assert.equal(textOf[c.client](r), 'one two', r.text);
                toldOneOf(c, r, c.row.alone, 'the last event');
        },
        whole: (s, c, r) => {
                assert.equal(r.status, 200, r.text);
                if (!c.row.anyText)
                        assert.equal(textOf[c.client](r), text);
                if (c.stream)
                        assert.ok(ended[c.client](r.text), r.text);
        },
};

const checkTime = (c, took) => {
        const [least, most] = c.row.slow ?? [0, [c.row.tries].flat().at(-1) * backoff + 500];
        assert.ok(took >= least && took <= most + slack, `it took ${took} ms`);
};

// Once more: is the first target asked again?
const checkSpared = async (s, c) => {
        const before = asked(s.fake, c.upstream[0]).length, started = Date.now();
        const r = await ask(s, c.client, c.model, c.stream);
        const more = asked(s.fake, c.upstream[0]).length - before;
        assert.equal(more > 0, !c.row.spared, `asked ${more} times more`);
        if (!c.row.spared)
                return;
        if (c.arrangement === 'pair')
                assert.equal(textOf[c.client](r), secondText, r.text);
        else
                toldOneOf(c, r, c.row.told ?? c.row.alone, 'what the next is told');
        assert.ok(Date.now() - started < slack, 'at once');
};

const runCase = async (s, c) => {
        const script = typeof c.row.script === 'function' ? c.row.script(c.first) : c.row.script;
        if (script)
                s.fake.script(c.upstream[0], { text, ...script });
        s.fake.script(c.upstream[1], { text: secondText });
        const started = Date.now();
        const r = await ask(s, c.client, c.model, c.stream);
        const took = Date.now() - started;
        outcomes[c.row.ends](s, c, r);
        triesOf(s, c, r);
        checkSecond(s, c, r);
        checkTime(c, took);
        if (c.row.spared !== undefined)
                await checkSpared(s, c);
};

// All cases of a test at once; what each of them that failed says.
const together = async (s, cases) => {
        const done = await Promise.allSettled(cases.map((c) => runCase(s, c)));
        const failed = done.flatMap((d, i) => (d.status === 'rejected' ? [`${cases[i].client} from ${cases[i].first}: ${d.reason.message}`] : []));
        assert.equal(failed.length, 0, `${failed.length} of ${cases.length} failed:\n${failed.join('\n')}`);
};

const table = (kind, options, wanted, of) => {
        const chosen = rows.map((row, place) => casesOf(row, place, wanted)).filter((cases) => of(cases[0].row));
        world('faults', kind, options, () => chosen.flat().map(modelsOf), (s) => {
                for (const cases of chosen)
                        for (const stream of [false, true])
                                for (const arrangement of ['alone', 'pair']) {
                                        const here = cases.filter((c) => c.stream === stream && c.arrangement === arrangement);
                                        if (here.length)
                                                test(`${here[0].row.name}: ${stream ? 'streamed' : 'in one piece'}, ${arrangement === 'alone' ? 'alone' : 'with a second target'}`,
                                                     () => together(s, here));
                                }
        });
};

const sample = ['429 with a time', '503', 'connection refused', 'silence before the headers', 'our key is refused', '404 of the model', 'context too long', '400', 'a cut later'];
for (const kind of kinds.filter((k) => k !== 'apache-htaccess')) {
        if (kind === 'lighttpd-fastcgi')
                table(kind, { concurrency: 6 }, clients, () => true);
        else if (kind === 'apache-fcgid' || isCgi(kind))
                table(kind, { concurrency: 2, keepalive: 0.3 }, [isCgi(kind) ? 'openai' : 'anthropic', 'plain'], (row) => sample.includes(row.name));
}

/* ---------------------------------------------------------------- what takes more than one request */

const usual = 'usual-openai';
const special = (fake) => [
        ...Array.from({ length: 8 }, (_, i) => modelOf(`jitter-${i}`, [[usual, `jitter-${i}`]], { retry: { attempts: 2, backoff: 1.0, max_backoff: 1.0 } })),
        modelOf('waits', [[usual, 'waits']], { total: 30.0 }),
        modelOf('soonest', [[usual, 'soonest-1'], ['usual-anthropic', 'soonest-2']], { total: 5.0 }),
        modelOf('total', [['short-openai', 'total-1'], ['short-anthropic', 'total-2'], ['short-gemini', 'total-3']], { total: 1.6 }),
        modelOf('breaks', [[usual, 'breaks']], { breaker: { share: 0.5, minimum: 5, window: 30.0, cooldown: 2.0 }, retry: { attempts: 1 } }),
        modelOf('breaks-pair', [[usual, 'breaks-1'], ['usual-gemini', 'breaks-2']], { breaker: { share: 0.5, minimum: 5, window: 30.0, cooldown: 60.0 }, retry: { attempts: 1 } }),
        modelOf('callers', [[usual, 'callers']], { breaker: { share: 0.2, minimum: 3, window: 30.0, cooldown: 60.0 } }),
        modelOf('outage', [[usual, 'outage']], { breaker: { share: 1.0, minimum: 100000, window: 30.0, cooldown: 5.0 }, retry: { attempts: 3, backoff: 0.02, max_backoff: 0.02 } }),
        modelOf('windows', [[usual, 'window-8k'], ['usual-anthropic', 'window-4k'], ['usual-gemini', 'window-1m']], {}, { 'window-8k': 8000, 'window-4k': 4000, 'window-1m': 1000000 }),
        modelOf('no-larger', [[usual, 'narrow-8k'], ['usual-anthropic', 'narrow-4k']], {}, { 'narrow-8k': 8000, 'narrow-4k': 4000 }),
        modelOf('reroutes', [[usual, 'reroutes-1'], ['usual-anthropic', 'reroutes-2']], { reroute_refusals: true }),
        modelOf('quiet', [['short-openai', 'quiet-1'], ['usual-anthropic', 'quiet-2']]),
        modelOf('quiet-alone', [['short-openai', 'quiet-3']]),
        modelOf('daily', [['daily', 'daily']], { total: 5.0 }),
];
const daily = (fake) => [{ ...named(fake, 'gemini', 'daily'), limits: { zone: 'America/Los_Angeles' } }];

// Seconds until the day ends in a zone.
const dayLeft = (zone) => {
        const parts = Object.fromEntries(new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: 'numeric', minute: 'numeric', second: 'numeric', hour12: false }).formatToParts().map((p) => [p.type, Number(p.value)]));
        return 86400 - (parts.hour % 24) * 3600 - parts.minute * 60 - parts.second;
};

world('over time', 'lighttpd-fastcgi', { concurrency: 8, keepalive: 0.3, providers: daily }, special, (s) => {
        const plain = (model, more) => ask(s, 'openai', model, false, more);

        test('backoff is jittered between nothing and its full length', async () => {
                const spaces = await Promise.all(Array.from({ length: 8 }, async (_, i) => {
                        s.fake.script(`jitter-${i}`, { status: 500 }, { text });
                        assert.equal((await plain(`jitter-${i}`)).status, 200);
                        const [first, second] = asked(s.fake, `jitter-${i}`);
                        return second.at - first.at;
                }));
                assert.ok(Math.max(...spaces) <= 1000 + slack, `${spaces}`);
                assert.ok(Math.max(...spaces) - Math.min(...spaces) > 50, `all alike: ${spaces}`);
        });

        test('a time that fits in the total is waited for, by everyone', async () => {
                s.fake.script('waits', limitedFor('openai', 2), { text });
                const first = await plain('waits');
                assert.equal(textOf.openai(first), text);
                assert.equal(first.headers.get('x-tollgate-attempts'), '2');
                const [limited, then] = asked(s.fake, 'waits');
                assert.ok(then.at - limited.at >= 1900 && then.at - limited.at <= 2000 + slack, `${then.at - limited.at} ms`);
                assert.equal(asked(s.fake, 'waits').length, 2);
        });

        test('with all cooled down, the soonest time is told', async () => {
                s.fake.script('soonest-1', limitedFor('openai', 50));
                s.fake.script('soonest-2', limitedFor('anthropic', 20));
                for (let i = 0; i < 2; i++) {
                        const r = await plain('soonest');
                        assertTold('openai', r, 'overloaded');
                        assert.ok(retryAfter(r) >= 12 && retryAfter(r) <= 21, `retry-after: ${retryAfter(r)}`);
                }
                assert.equal(asked(s.fake, 'soonest-1').length + asked(s.fake, 'soonest-2').length, 2);
        });

        test('a quota of the day cools down until the day ends there', async () => {
                s.fake.script('daily', {
                        status: 429, message: 'You exceeded your current quota', details: [{
                                '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
                                violations: [{ quotaMetric: 'generativelanguage.googleapis.com/generate_content_free_tier_requests', quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }],
                        }],
                });
                const r = await plain('daily');
                assertTold('openai', r, 'overloaded');
                const off = retryAfter(r) - dayLeft('America/Los_Angeles');
                assert.ok(Math.abs(off) < 60 || Math.abs(Math.abs(off) - 86400) < 60, `retry-after: ${retryAfter(r)}, the day has ${dayLeft('America/Los_Angeles')} s`);
                await plain('daily');
                assert.equal(asked(s.fake, 'daily').length, 1);
        });

        test('the total bounds all attempts', async () => {
                for (const name of ['total-1', 'total-2', 'total-3'])
                        s.fake.script(name, { wait: 8000 });
                const started = Date.now();
                assertTold('openai', await plain('total'), 'timeout');
                assert.ok(Date.now() - started >= 1500 && Date.now() - started <= 1600 + slack, `${Date.now() - started} ms`);
        });

        test('the breaker opens, spares the target, sends one probe, and closes', async () => {
                s.fake.script('breaks', { status: 500 });
                for (let i = 0; i < 5; i++)
                        assertTold('openai', await plain('breaks'), 'upstream');
                const opened = asked(s.fake, 'breaks').length;
                assert.equal(opened, 5);
                for (let i = 0; i < 4; i++)
                        assert.ok([502, 503].includes((await plain('breaks')).status));
                assert.equal(asked(s.fake, 'breaks').length, opened, 'nobody is sent there');
                /* The first probe fails: twice the cool-down. */
                await waitFor(async () => (await plain('breaks'), asked(s.fake, 'breaks').length > opened), { ms: 10000, every: 100, what: 'a probe' });
                const probed = asked(s.fake, 'breaks').at(-1).at;
                assert.ok(probed - asked(s.fake, 'breaks')[4].at >= 1900, `after ${probed - asked(s.fake, 'breaks')[4].at} ms`);
                /* Then it answers, slowly: many ask, one is the probe. */
                s.fake.script('breaks', { text, wait: 700 });
                const before = asked(s.fake, 'breaks').length;
                await waitFor(async () => {
                        const all = await Promise.all(Array.from({ length: 6 }, () => plain('breaks')));
                        return all.some((r) => r.status === 200);
                }, { ms: 15000, every: 100, what: 'a probe that is answered' });
                const [probe, ...rest] = asked(s.fake, 'breaks').slice(before);
                assert.ok(probe.at - probed >= 3900, `after ${probe.at - probed} ms`);
                assert.ok(rest.every((r) => r.at >= probe.at + 650), 'one at a time while it probes');
                const all = await Promise.all(Array.from({ length: 6 }, () => plain('breaks')));
                assert.ok(all.every((r) => r.status === 200), 'closed');
        });

        test('an open target goes last: its second is asked at once', async () => {
                s.fake.script('breaks-1', { status: 503 });
                s.fake.script('breaks-2', { text: secondText });
                for (let i = 0; i < 12; i++)
                        assert.equal(textOf.openai(await plain('breaks-pair')), secondText);
                assert.equal(asked(s.fake, 'breaks-1').length, 5);
        });

        test('the faults of callers count nowhere', async () => {
                s.fake.script('callers', { status: 400, message: 'too odd' });
                for (let i = 0; i < 12; i++)
                        assertTold('openai', await plain('callers'), 'refused', { status: 400 });
                s.fake.script('callers', { text });
                assert.equal((await plain('callers')).status, 200);
                assert.equal(asked(s.fake, 'callers').length, 13);
        });

        test('an outage is not multiplied: retries stay under their share', async () => {
                s.fake.script('outage', { status: 500 });
                const calls = 100;
                for (let i = 0; i < calls; i += 10)
                        await Promise.all(Array.from({ length: 10 }, () => plain('outage')));
                const tries = asked(s.fake, 'outage').length - calls;
                assert.ok(tries >= 5, `${tries} retries: the floor is allowed`);
                assert.ok(tries <= 0.2 * calls + 5 + 2, `${tries} retries of ${calls} calls`);
        });

        test('too long for one, the next with a larger window is asked, and none with a smaller', async () => {
                const tooLong = { status: 400, message: "This model's maximum context length is 8000 tokens.", code: 'context_length_exceeded', type: 'invalid_request_error' };
                s.fake.script('window-8k', tooLong);
                s.fake.script('window-1m', { text: secondText });
                assert.equal(textOf.openai(await plain('windows')), secondText);
                assert.equal(asked(s.fake, 'window-8k').length, 1);
                assert.equal(asked(s.fake, 'window-4k').length, 0);
                s.fake.script('narrow-8k', tooLong);
                assert.match(assertTold('openai', await plain('no-larger'), 'context').message, /8000 tokens/);
                assert.equal(asked(s.fake, 'narrow-4k').length, 0);
        });

        test('a refusal goes on only where the version says so', async () => {
                s.fake.script('reroutes-1', { status: 400, message: 'Your request was rejected as a result of our safety system.', code: 'content_policy_violation' });
                s.fake.script('reroutes-2', { text: secondText });
                assert.equal(textOf.openai(await plain('reroutes')), secondText);
        });

        test('behind keep-alives failover goes on, and a failure is an error event', async () => {
                await Promise.all(clients.map(async (client) => {
                        s.fake.script('quiet-1', { wait: 8000 });
                        s.fake.script('quiet-2', { text: secondText });
                        const r = await ask(s, client, 'quiet', true);
                        assert.equal(r.status, 200);
                        assert.equal(textOf[client](r), secondText, `${client}: ${r.text}`);
                        assert.ok(ended[client](r.text));
                        s.fake.script('quiet-3', { wait: 8000 });
                        const failed = await ask(s, client, 'quiet-alone', true);
                        assert.equal(failed.status, 200);
                        assertTold(client, failed, 'timeout');
                }));
        });
});
