// Targets in order: what fails before content goes on to the next, what fails after it is an error in the client's dialect.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ask, clients, dialects, ended, errorIn, nextDialect as second, textOf } from './ask.mjs';
import { named } from './config.mjs';
import { freePort } from './harness.mjs';
import { call, eachServer, errorOf, events } from './suite.mjs';

const closed = await freePort();

// For each dialect pairs of a first provider of its own name and a second of the next dialect behind it. Each question takes a pair
// that nobody asked before: what the gate remembers of a target is not this file's business (faults.test.mjs).
const pairs = 80;
const names = (d, n) => ({ model: `pair-${d}-${n}`, first: `first-${d}-${n}`, second: `second-${d}-${n}` });
const once = { retry: { attempts: 1 }, breaker: { share: 0 }, total: 8.0 };
const options = (fake) => {
        const slow = { connect: 1.0, first_token: 0.7, idle: 0.7, attempt: 1.5 };
        return {
                providers: [
                        ...dialects.map((d) => ({ ...named(fake, d, `first-${d}`), timeouts: slow })), ...dialects.map((d) => ({ ...named(fake, d, `second-${d}`), timeouts: slow })),
                        { name: 'closed', dialect: 'openai', base: `http://127.0.0.1:${closed}/v1`, key: 'sk-none' },
                        { name: 'no-secret', dialect: 'openai', base: fake.base('openai'), key: 'env:NOT_SET_ANYWHERE' },
                ],
                models: [
                        ...dialects.flatMap((d) => Array.from({ length: pairs }, (_, n) => names(d, n)).map((p) => ({
                                name: p.model, tasks: ['chat'], versions: [{ name: '1', ...once, targets: [{ provider: `first-${d}`, model: p.first }, { provider: `second-${second(d)}`, model: p.second }] }],
                        }))),
                        { name: 'down', tasks: ['chat'], versions: [{ name: '1', ...once, targets: [{ provider: 'closed', model: 'gpt-4o' }] }] },
                        { name: 'down-then-up', tasks: ['chat'], versions: [{ name: '1', ...once, targets: [{ provider: 'closed', model: 'gpt-4o' }, { provider: 'no-secret', model: 'gpt-4o' }, { provider: 'second-anthropic', model: 'claude-up' }] }] },
                        { name: 'embed-pair', tasks: ['embed'], versions: [{ name: '1', ...once, targets: [{ provider: 'first-openai', model: 'text-embedding-3-small' }, { provider: 'second-openai', model: 'text-embedding-3-small' }] }] },
                ],
        };
};

eachServer('failover', options, (s) => {
        const used = {};
        const askPair = (client, d, stream, first, then = { text: 'Second to none' }) => {
                const p = names(d, used[d] = (used[d] ?? -1) + 1);
                s.fake.script(p.first, first);
                s.fake.script(p.second, then);
                return ask(s, client, p.model, stream);
        };
        for (const target of dialects)
                describe(`first ${target}`, () => {
                        for (const [what, script, streamOnly] of [
                                ['500', { status: 500 }], ['429', { status: 429, headers: { 'retry-after': '3' } }], ['503', { status: 503 }], ['404', { status: 404, message: 'no such model' }],
                                ['401', { status: 401 }], ['an error in a 200', { errorIn200: true }], ['a connection cut at once', { cut: 'connect' }],
                                ['a cut before content', { text: 'a b c', cut: 0 }], ['no JSON', { status: 500, body: '<html>oops' }], ['a wrong length', { length: 'long' }],
                                ['a stream that errs before content', { text: 'a b', errorEvent: 0 }, true], ['a malformed event before content', { text: 'a b', malformed: 0 }, true],
                                ['silence', { text: 'a b', wait: 3000 }],
                        ])
                                test(what, async () => {
                                        for (const stream of streamOnly ? [true] : [false, true]) {
                                                s.fake.requests.length = 0;
                                                const r = await askPair('openai', target, stream, script);
                                                if (script.length && stream)
                                                        continue;
                                                assert.equal(r.status, 200, r.text);
                                                assert.equal(textOf.openai(r), 'Second to none', `stream: ${stream}`);
                                                if (stream)
                                                        assert.ok(ended.openai(r.text));
                                                /* A connection that was reused and closed with no byte of an answer is opened again for the same attempt. */
                                                assert.deepEqual([...new Set(s.fake.requests.map((x) => x.as))], [`first-${target}`, `second-${second(target)}`]);
                                                if (!script.wait) {
                                                        assert.equal(r.headers.get('x-tollgate-provider'), `second-${second(target)}`);
                                                        assert.equal(r.headers.get('x-tollgate-attempts'), '2');
                                                }
                                        }
                                });

                        test('a 400 is the caller\'s own: no second try', async () => {
                                const r = await askPair('openai', target, false, { status: 400, message: 'messages are too odd' });
                                assert.equal(r.status, 400);
                                assert.match(errorOf('openai', r.json).message, /too odd/);
                                assert.equal(s.fake.requests.length, 1);
                        });

                        for (const client of clients)
                                test(`what fails after content is an error to ${client}`, async () => {
                                        for (const script of [{ errorEvent: 2 }, { cut: 2 }, { malformed: 2 }, { stall: 2 }]) {
                                                s.fake.requests.length = 0;
                                                const r = await askPair(client, target, true, { text: 'one two three four', ...script });
                                                const what = `${client} from ${target}: ${JSON.stringify(script)}: ${r.text.slice(-300)}`;
                                                assert.equal(r.status, 200, what);
                                                assert.match(textOf[client](r), /^one two$/, what);
                                                assert.ok(!ended[client](r.text), what);
                                                errorIn[client](events(r.text));
                                                assert.equal(s.fake.requests.length, 1, 'no second try after content');
                                        }
                                });
                });

        for (const client of clients)
                describe(`all fail, to ${client}`, () => {
                        const run = (first, then, stream) => askPair(client, 'openai', stream, first, then);
                        test('502, 503, 504', async () => {
                                for (const stream of [false, true]) {
                                        const broken = await run({ status: 500 }, { status: 500 }, stream);
                                        assert.equal(broken.status, 502, broken.text);
                                        errorOf(client, broken.json);
                                        const busy = await run({ status: 429, headers: { 'retry-after': '9' } }, { status: 529 }, stream);
                                        assert.equal(busy.status, 503, busy.text);
                                        assert.ok(busy.headers.get('retry-after'));
                                        const barred = await run({ status: 401 }, { status: 401 }, stream);
                                        assert.equal(barred.status, 502, barred.text);
                                }
                                const late = await run({ wait: 4000 }, { wait: 4000 }, false);
                                assert.equal(late.status, 504, late.text);
                                assert.equal((await ask(s, client, 'down', false)).status, 502);
                        });
                        test('refused and out of service, then up', async () => {
                                s.fake.script('claude-up', { text: 'Here' });
                                const r = await ask(s, client, 'down-then-up', false);
                                assert.equal(textOf[client](r), 'Here');
                        });
                });

        test('embeddings go on as well', async () => {
                s.fake.script('first-openai', { status: 500 });
                const r = await call(s, '/v1/embeddings', { body: { model: 'embed-pair', input: 'x', dimensions: 8 } });
                assert.equal(r.status, 200, r.text);
                assert.equal(r.json.data.length, 1);
                assert.equal(r.headers.get('x-tollgate-provider'), 'second-openai');
        });
});
