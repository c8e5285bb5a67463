// The @google/genai package with only baseUrl and key changed, through every server.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { gemini } from './adapters.mjs';
import { callerKey } from './config.mjs';
import { haveRecordings, vector } from './fake/provider.mjs';
import { matrix } from './matrix.mjs';
import { call, eachServer, errorOf } from './suite.mjs';
import { seen } from './wire.mjs';

const contents = [{ role: 'user', parts: [{ text: 'Hello in JSON' }] }];

eachServer('gemini SDK', {}, (s) => {
        matrix(s, gemini);

        describe('gemini SDK alone', () => {
                let client;
                before(() => (client = gemini.client(s.url, callerKey)));

                test('the key in its header and in the query, /v1beta by name', async () => {
                        const beta = gemini.client(s.url, callerKey, { apiVersion: 'v1beta' });
                        const r = await beta.models.generateContent({ model: 'gemini', contents: 'Hi' });
                        assert.equal(r.text, 'This is gemini-3.5-flash.');
                        const query = await call(s, `/v1beta/models/gemini:generateContent?key=${callerKey}`, { body: { contents }, key: null });
                        assert.equal(query.status, 200);
                        const elsewhere = await call(s, `/v1/chat/completions?key=${callerKey}`, { body: { model: 'gpt', messages: [{ role: 'user', content: 'x' }] }, key: null });
                        assert.equal(elsewhere.status, 401);
                });

                test('models', async () => {
                        for (const asked of [client, gemini.client(s.url, callerKey, { apiVersion: 'v1beta' })]) {
                                const names = [];
                                for await (const m of await asked.models.list())
                                        names.push(m.name);
                                assert.ok(names.includes('models/gemini') && names.includes('models/gpt'));
                                assert.equal((await asked.models.get({ model: 'gpt' })).name, 'models/gpt');
                        }
                });

                test('a JSON array without alt=sse', async () => {
                        for (const [model, name] of [['gemini', 'gemini-3.5-flash'], ['gpt', 'gpt-4o'], ['claude', 'claude-sonnet-4-6']]) {
                                s.fake.script(name, { text: 'one two three' });
                                const r = await call(s, `/v1beta/models/${model}:streamGenerateContent`, { body: { contents } });
                                assert.equal(r.status, 200);
                                assert.match(r.headers.get('content-type'), /^application\/json/);
                                assert.ok(Array.isArray(r.json), r.text.slice(0, 200));
                                const parts = r.json.flatMap((c) => c.candidates?.[0]?.content?.parts ?? []);
                                assert.equal(parts.map((p) => p.text ?? '').join(''), 'one two three');
                                assert.equal(r.json.at(-1).candidates[0].finishReason, 'STOP');
                                s.fake.script(name, { text: 'one two three', errorEvent: 1 });
                                const broken = await call(s, `/v1beta/models/${model}:streamGenerateContent`, { body: { contents } });
                                assert.ok(!/"finishReason"/.test(broken.text));
                                assert.match(broken.text, /"error"/);
                        }
                });

                test('snake_case and camelCase both count', async () => {
                        const generation_config = { max_output_tokens: 99, stop_sequences: ['X'], response_mime_type: 'application/json' };
                        for (const model of ['gemini', 'claude', 'gpt']) {
                                const body = { contents, system_instruction: { parts: [{ text: 'Rule' }] }, generation_config: model === 'claude' ? { ...generation_config, response_mime_type: 'text/plain' } : generation_config };
                                const r = await call(s, `/v1beta/models/${model}:generateContent`, { body });
                                assert.equal(r.status, 200, r.text);
                                if (model !== 'gemini')
                                        assert.deepEqual([seen(s.fake.last()).max, seen(s.fake.last()).system], [99, 'Rule']);
                        }
                        const twice = await call(s, '/v1beta/models/gpt:generateContent', { body: { contents, generationConfig: {}, generation_config: {} } });
                        assert.equal(twice.status, 400);
                });

                test('an OpenAPI schema becomes a JSON Schema', async () => {
                        const responseSchema = { type: 'OBJECT', properties: { city: { type: 'STRING', nullable: true }, n: { type: 'INTEGER' } }, required: ['city'], propertyOrdering: ['city', 'n'] };
                        for (const model of ['gpt', 'claude', 'gemini']) {
                                await client.models.generateContent({ model, contents, config: { responseMimeType: 'application/json', responseSchema } });
                                const { schema } = seen(s.fake.last());
                                assert.equal(schema.type.toLowerCase(), 'object');
                                if (model !== 'gemini')
                                        assert.equal(schema.properties.n.type, 'integer');
                        }
                });

                test('embedContent and batchEmbedContents, to both', async () => {
                        for (const model of ['embed-gpt', 'embed-gemini']) {
                                const one = await call(s, `/v1beta/models/${model}:embedContent`, { body: { content: { parts: [{ text: 'one' }] }, outputDimensionality: 16 } });
                                assert.equal(one.status, 200, one.text);
                                one.json.embedding.values.forEach((v, i) => assert.ok(Math.abs(v - vector('one', 16)[i]) < 1e-6));
                                const requests = ['a', 'b'].map((text) => ({ model: `models/${model}`, content: { parts: [{ text }] }, outputDimensionality: 16 }));
                                const many = await call(s, `/v1beta/models/${model}:batchEmbedContents`, { body: { requests } });
                                assert.equal(many.json.embeddings.length, 2);
                        }
                });

                test('thinking settings fit each model', async () => {
                        for (const model of ['gemini-old', 'gpt-thinks', 'claude', 'claude-new', 'claude-old'])
                                for (const thinkingConfig of [{ thinkingLevel: 'LOW' }, { thinkingLevel: 'HIGH' }, { thinkingBudget: 2048 }, { thinkingBudget: 0 }, { thinkingBudget: -1 }]) {
                                        const r = await client.models.generateContent({ model, contents, config: { thinkingConfig, maxOutputTokens: 30000 } })
                                                .catch((e) => e);
                                        if (!(model === 'gemini-old' && thinkingConfig.thinkingLevel))
                                                assert.ok(r.candidates, `${model} ${JSON.stringify(thinkingConfig)}: ${r.message}`);
                                }
                });

                test('a blocked prompt', async () => {
                        s.fake.script('gemini-3.5-flash', { blocks: [], finish: 'filter' });
                        for (const stream of [false, true]) {
                                const r = await gemini.ask(client, { model: 'gemini', turns: [{ user: 'x' }], stream });
                                assert.equal(r.raw.promptFeedback.blockReason, 'PROHIBITED_CONTENT');
                        }
                });

                test('candidateCount', async () => {
                        for (const model of ['gemini', 'gpt']) {
                                const r = await client.models.generateContent({ model, contents, config: { candidateCount: 2 } });
                                assert.equal(r.candidates.length, 2);
                        }
                });

                test('signed text survives to Gemini', async () => {
                        s.fake.script('gemini-3.5-flash', { blocks: [{ text: 'Hello', sign: true }] });
                        const r = await gemini.ask(client, { model: 'gemini', turns: [{ user: 'x' }] });
                        await gemini.ask(client, { model: 'gemini', turns: [{ user: 'x' }, { turn: r.turn }, { user: 'y' }] });
                        assert.equal(seen(s.fake.last()).signatures.length, 1);
                });

                test('errors have the shape that gemini has', async () => {
                        for (const [body, word] of [[{}, /contents/], [{ contents: 'x' }, /contents/], [{ contents: [{ parts: [{ hologram: 1 }] }] }, /contents\[0\]/]]) {
                                const r = await call(s, '/v1beta/models/gpt:generateContent', { body });
                                assert.equal(r.status, 400, JSON.stringify(body));
                                const e = errorOf('gemini', r.json);
                                assert.deepEqual([e.status, e.type], [400, 'INVALID_ARGUMENT']);
                                assert.match(e.message, word);
                        }
                });

                test('recordings come through', { skip: haveRecordings ? false : 'no recordings at hand' }, async () => {
                        s.fake.script('gemini-3.5-flash', { replay: 'google/google-tool-call-gemini3.chunks.txt' });
                        const g = await gemini.ask(client, { model: 'gemini', turns: [{ user: 'x' }], stream: true });
                        assert.deepEqual(g.calls[0].input, { location: 'San Francisco' });
                        assert.ok(g.turn.parts[0].thoughtSignature.length > 500);
                        s.fake.script('claude-sonnet-4-6', { replay: 'anthropic/anthropic-text.chunks.txt' });
                        const a = await gemini.ask(client, { model: 'claude', turns: [{ user: 'x' }], stream: true });
                        assert.match(a.text, /^Hello! I'm doing well/);
                        s.fake.script('gpt-4o', { replay: 'openai/chat/openai-text.chunks.txt' });
                        const o = await gemini.ask(client, { model: 'gpt', turns: [{ user: 'x' }], stream: true });
                        assert.deepEqual([o.usage.input, o.usage.output], [16, 300]);
                });
        });
});
