// The scenarios that every official SDK runs against a target of each provider dialect, over every server.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { callerKey, otherKey, upstream } from './config.mjs';
import { pdf, png } from './fake/images.mjs';
import { vector } from './fake/provider.mjs';
import { seen } from './wire.mjs';

const schema = {
        type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } }, required: ['city', 'days'], additionalProperties: false,
};
const tools = [
        { name: 'weather', description: 'Tells the weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
        { name: 'clock', description: 'Tells the time' },
];
const hi = [{ user: 'Hello there, ünïcode 🌍' }];
export const targets = [['openai', 'gpt'], ['anthropic', 'claude'], ['gemini', 'gemini']];

const near = (a, b) => a.length === b.length && a.every((e, i) => Math.abs(e - b[i]) < 1e-6);

// The error that a promise ends in, in the adapter's words.
const failing = async (sdk, promise) => {
        const e = await promise.then(() => assert.fail('it should have failed'), (x) => x);
        if (e instanceof assert.AssertionError)
                throw e;
        return sdk.error(e);
};

export const forTarget = (s, sdk, dialect, model) => {
        const name = upstream[model][1];
        let client;
        before(() => (client = sdk.client(s.url, callerKey)));
        const ask = (q) => sdk.ask(client, { model, turns: hi, ...q });
        const last = () => seen(s.fake.last(name));

        test('text', async () => {
                s.fake.script(name, { text: 'Good day, wörld 🌞.', usage: { input: 21, output: 9 } });
                const r = await ask({ system: 'Be kind.' });
                assert.equal(r.text, 'Good day, wörld 🌞.');
                assert.equal(r.finish, 'stop');
                assert.equal(r.served, name);
                assert.deepEqual([r.usage.input, r.usage.output], [21, 9]);
                assert.equal(last().system, 'Be kind.');
                assert.equal(last().user, hi[0].user);
                for (const [header, value] of [['model', model], ['version', '1'], ['provider', dialect], ['served-model', name], ['attempts', '1']])
                        assert.equal(r.headers.get(`x-tollgate-${header}`), value, header);
                assert.match(r.headers.get('x-request-id'), /^[A-Za-z0-9._-]{1,64}$/);
                assert.equal(r.headers.get('cache-control'), 'private, no-store');
                assert.equal(r.headers.get('x-content-type-options'), 'nosniff');
                assert.equal(s.fake.requests.length, 1);
        });

        test('stream', async () => {
                s.fake.script(name, { chunks: ['Good ', 'day, ', 'wörld ', '🌞.'], usage: { input: 21, output: 9, cached: 8 } });
                const r = await ask({ stream: true });
                assert.deepEqual(r.pieces, ['Good ', 'day, ', 'wörld ', '🌞.']);
                assert.equal(r.text, 'Good day, wörld 🌞.');
                assert.equal(r.finish, 'stop');
                assert.equal(r.served, name);
                assert.deepEqual([r.usage.input, r.usage.output, r.usage.cached], [21, 9, 8]);
                assert.equal(s.fake.last().stream, true);
        });

        test('settings', async () => {
                s.fake.script(name, { text: 'Cut off', finish: 'length' });
                const r = await ask({ max: 1234, temperature: 0.5, stop: ['END', 'FIN'] });
                assert.equal(r.finish, 'length');
                const { max, temperature, stop } = last();
                assert.deepEqual({ max, temperature, stop }, { max: 1234, temperature: 0.5, stop: ['END', 'FIN'] });
        });

        test('usage in full', async () => {
                s.fake.script(name, { text: 'So', usage: { input: 1000, cached: 600, output: 300, reasoning: 200 } });
                for (const stream of [false, true]) {
                        const { usage } = await ask({ stream });
                        assert.deepEqual([usage.input, usage.cached, usage.output, usage.reasoning], [1000, 600, 300, 200], `stream: ${stream}`);
                }
        });

        for (const stream of [false, true]) {
                const how = stream ? ', streamed' : '';
                test(`parallel tools and the way back${how}`, async () => {
                        s.fake.script(name, {
                                blocks: [
                                        ...(dialect === 'anthropic' ? [{ thinking: 'Two places, two calls.' }] : []), { text: 'Let me look.' },
                                        { tool: { name: 'weather', input: { city: 'Rome "α"' } } }, { tool: { name: 'weather', input: { city: 'Oslo' } } },
                                        { tool: { name: 'clock', input: {}, ...(dialect === 'gemini' ? {} : { arguments: dialect === 'anthropic' ? '' : '{}' }) } },
                                ],
                        });
                        const r = await ask({ tools, stream });
                        assert.equal(r.text, 'Let me look.');
                        assert.equal(r.finish, 'tool');
                        assert.deepEqual(r.calls.map(({ name: n, input }) => [n, input]), [['weather', { city: 'Rome "α"' }], ['weather', { city: 'Oslo' }], ['clock', {}]]);
                        assert.equal(new Set(r.calls.map((c) => c.id)).size, 3);
                        assert.deepEqual(last().tools.map((t) => t.name), ['weather', 'clock']);
                        assert.deepEqual(last().tools[0].parameters.required, ['city']);
                        const issued = s.fake.last(name).plan.blocks.map((b) => b.signature).filter(Boolean);

                        s.fake.script(name, { text: 'Sun in Rome.' });
                        const outputs = ['sunny', 'snow', 'noon'];
                        const results = r.calls.map((call, i) => (i === 1 ? { call, error: 'no such place' } : { call, output: outputs[i] }));
                        const again = await ask({ tools, stream, turns: [...hi, { turn: r.turn }, { results }] });
                        assert.equal(again.text, 'Sun in Rome.');
                        const v = last();
                        assert.deepEqual(v.calls.map(({ name: n, input }) => [n, input]), r.calls.map(({ name: n, input }) => [n, input]));
                        /* OpenAI knows no mark of failure: it may be said in words. */
                        assert.deepEqual(v.results.map((x) => (dialect === 'openai' ? x.text.replace(/^Error: /, '') : x.text)), ['sunny', 'no such place', 'noon']);
                        if (dialect !== 'gemini' || v.results[0].id)
                                assert.deepEqual(v.results.map((x) => x.id), v.calls.map((c) => c.id));
                        assert.deepEqual(v.signatures, issued, 'the provider gets its own signatures back');
                        if (sdk.name !== 'openai' && dialect !== 'openai')
                                assert.equal(v.results[1].error, true);
                });
        }

        test('tool choice', async () => {
                for (const choice of ['required', 'weather', 'none', 'auto']) {
                        await ask({ tools, choice });
                        assert.equal(last().choice ?? 'auto', choice);
                }
                if (sdk.name === 'gemini' || dialect === 'gemini')
                        return;
                await ask({ tools, parallel: false });
                assert.equal(last().parallel, false);
        });

        test('structured output', async () => {
                s.fake.script(name, { text: '{"city":"Rome","days":3}' });
                for (const stream of [false, true]) {
                        const r = await ask({ schema, stream });
                        assert.deepEqual(JSON.parse(r.text), { city: 'Rome', days: 3 });
                        assert.deepEqual(last().schema, schema);
                }
        });

        test('image and document', async () => {
                await ask({ turns: [{ user: [{ text: 'What is this?' }, { image: png(7, 5), type: 'image/png' }, { pdf }] }] });
                assert.deepEqual(last().images, [{ type: 'image/png', data: png(7, 5).toString('base64') }]);
                assert.deepEqual(last().documents, [{ type: 'application/pdf', data: pdf.toString('base64') }]);
                assert.equal(last().user, 'What is this?');
        });

        test('refusal', async () => {
                s.fake.script(name, { blocks: [{ refusal: 'I will not do that.' }] });
                for (const stream of [false, true]) {
                        const r = await ask({ stream });
                        if (dialect === 'openai')
                                assert.ok(r.refusal === 'I will not do that.' || r.text === 'I will not do that.', `stream: ${stream}: ${JSON.stringify(r.raw)}`);
                        else
                                assert.equal(r.finish, 'filter', `stream: ${stream}`);
                }
        });

        if (sdk.name !== 'openai' && dialect !== 'openai')
                test('thoughts that were asked for', async () => {
                        s.fake.script(name, { blocks: [{ thinking: 'First this, then that.' }, { text: 'Done so.' }], usage: { input: 9, output: 12, reasoning: 7 } });
                        for (const stream of [false, true]) {
                                const r = await ask({ thoughts: true, stream });
                                assert.equal(r.thoughts, 'First this, then that.', `stream: ${stream}`);
                                assert.equal(r.text, 'Done so.');
                                assert.equal(r.usage.reasoning, 7);
                        }
                });

        test('errors of the provider', async () => {
                s.fake.script(name, { status: 400, message: 'max_tokens: 999 is beyond the pale' });
                for (const stream of [false, true]) {
                        const e = await failing(sdk, ask({ stream }));
                        assert.equal(e.status, 400);
                        assert.match(e.message, /beyond the pale/);
                }
                s.fake.script(name, { status: 401, message: 'Incorrect API key provided' });
                const e = await failing(sdk, ask());
                assert.equal(e.status, 502);
                if (sdk.name === 'openai')
                        assert.equal(e.code, 'upstream_credentials');
                await s.forget();
                s.fake.script(name, { status: 500, message: 'boom' });
                assert.equal((await failing(sdk, ask({ stream: true }))).status, 502);
                s.fake.script(name, { status: 429, message: 'slow down', headers: { 'retry-after': '1' } });
                await s.forget();
                const limit = await failing(sdk, ask());
                assert.equal(limit.status, 503);
                if (limit.headers)
                        assert.equal(limit.headers.get('retry-after'), '1');
                await s.forget();
        });

        test('an error in mid-stream is an error to the SDK', async () => {
                for (const script of [{ errorEvent: 2 }, { cut: 2 }, { malformed: 2 }]) {
                        s.fake.script(name, { text: 'one two three four five', ...script });
                        const heard = [];
                        await assert.rejects(ask({ stream: true, onText: (t) => heard.push(t) }), undefined, JSON.stringify(script));
                        assert.equal(heard.join(''), 'one two', JSON.stringify(script));
                        await s.forget();
                }
        });

        test('abort in mid-stream ends the call upstream', async () => {
                s.fake.script(name, { chunks: Array.from({ length: 200 }, (_, i) => `word${i} `), delay: 50 });
                const controller = new AbortController();
                const asked = ask({ stream: true, signal: controller.signal, onText: () => controller.abort() });
                await assert.rejects(asked);
                const left = Date.now();
                const record = s.fake.last(name);
                assert.ok(await s.fake.until(() => record.aborted, 4000), 'the provider sees its connection closed');
                assert.ok(record.aborted - left < 2500, `after ${record.aborted - left} ms`);
        });

        test('a provider that thinks for long: keep-alives are swallowed', async () => {
                s.fake.script(name, { text: 'At last some words', wait: 1500 });
                const r = await ask({ stream: true });
                assert.equal(r.text, 'At last some words');
        });
};

export const matrix = (s, sdk) => {
        for (const [dialect, model] of targets)
                describe(`${sdk.name} SDK to ${dialect}`, () => forTarget(s, sdk, dialect, model));

        describe(`${sdk.name} SDK to echo`, () => {
                let client;
                before(() => (client = sdk.client(s.url, callerKey)));
                test('text, stream, image', async () => {
                        for (const stream of [false, true]) {
                                const r = await sdk.ask(client, { model: 'echo', turns: [{ user: 'Say cheese' }], stream });
                                assert.match(r.text, /Say cheese/);
                                assert.ok(r.usage.input > 0 && r.usage.output > 0);
                        }
                        const r = await sdk.ask(client, { model: 'echo', turns: [{ user: [{ text: 'Look' }, { image: png(7, 5), type: 'image/png' }] }] });
                        assert.match(r.text, /png.*7.*5/is);
                });
                test('the way back to echo', async () => {
                        const r = await sdk.ask(client, { model: 'echo', turns: [{ user: 'Please call a tool' }], tools, choice: 'weather' });
                        assert.equal(r.calls[0]?.name, 'weather');
                        assert.equal(typeof r.calls[0].input.city, 'string');
                        const results = r.calls.map((c) => ({ call: c, output: 'sunny' }));
                        const again = await sdk.ask(client, { model: 'echo', turns: [{ user: 'Please call a tool' }, { turn: r.turn }, { results }], tools });
                        assert.ok(again.text.length > 0);
                });
        });

        describe(`${sdk.name} SDK and errors of our own`, () => {
                const ask = (key, q) => failing(sdk, sdk.ask(sdk.client(s.url, key), { model: 'gpt', turns: hi, ...q }));
                const types = {
                        openai: ['authentication_error', 'invalid_request_error', 'permission_error'],
                        anthropic: ['authentication_error', 'not_found_error', 'permission_error'], gemini: ['UNAUTHENTICATED', 'NOT_FOUND', 'PERMISSION_DENIED'],
                }[sdk.name];
                test('401, 404, 403', async () => {
                        for (const stream of [false, true]) {
                                const wrong = await ask('wrong-key', { stream });
                                assert.deepEqual([wrong.status, wrong.type], [401, types[0]]);
                                const unknown = await ask(callerKey, { model: 'nobody', stream });
                                assert.deepEqual([unknown.status, unknown.type], [404, types[1]]);
                                assert.match(unknown.message, /nobody/);
                                const barred = await ask(otherKey, { model: 'claude', stream });
                                assert.deepEqual([barred.status, barred.type], [403, types[2]]);
                        }
                        assert.equal(s.fake.requests.length, 0, 'no provider was asked');
                });
                test('what no target can do', async () => {
                        const e = await ask(callerKey, { model: 'claude-new', tools, choice: 'required' });
                        assert.equal(e.status, 400);
                        assert.match(e.message, /tool_?choice|toolConfig|functionCallingConfig/i);
                });
                test('hints are fitted and told', async () => {
                        s.fake.script('claude-opus-5-5', { text: 'Fine' });
                        const r = await sdk.ask(sdk.client(s.url, callerKey), { model: 'claude-new', turns: hi, temperature: 0.3 });
                        assert.equal(r.text, 'Fine');
                        assert.match(r.headers.get('x-tollgate-adjusted'), /temperature/);
                });
        });

        if (sdk.embed)
                describe(`${sdk.name} SDK and embeddings`, () => {
                        for (const [model, name, dialect] of [['embed-gpt', 'text-embedding-3-small', 'openai'], ['embed-gemini', 'gemini-embedding-2', 'gemini'], ['embed-gemini-1', 'gemini-embedding-001', 'gemini']])
                                test(`to ${name}`, async () => {
                                        const client = sdk.client(s.url, callerKey);
                                        const many = await sdk.embed(client, { model, input: ['one', 'two', 'drei ü'], dimensions: 64 });
                                        assert.equal(many.vectors.length, 3);
                                        ['one', 'two', 'drei ü'].forEach((text, i) => assert.ok(near(many.vectors[i], vector(text, 64)), text));
                                        const one = await sdk.embed(client, { model, input: 'one' });
                                        assert.equal(one.vectors.length, 1);
                                        assert.ok(near(one.vectors[0], vector('one', { openai: 1536, gemini: 3072 }[dialect])));
                                        if (many.tokens !== undefined)
                                                assert.ok(many.tokens > 0);
                                });
                        test('to echo: near texts are near', async () => {
                                const client = sdk.client(s.url, callerKey);
                                const { vectors: [a, b, c] } = await sdk.embed(client, { model: 'embed-echo', input: ['the quick brown fox', 'the quick brown foxes', 'tax law of 1923'] });
                                const dot = (x, y) => x.reduce((n, e, i) => n + e * y[i], 0);
                                assert.ok(dot(a, b) > dot(a, c) + 0.2);
                                assert.ok(Math.abs(dot(a, a) - 1) < 1e-3);
                        });
                });
};
