// The @anthropic-ai/sdk package with only baseURL and key changed, through every server.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { anthropic } from './adapters.mjs';
import { callerKey } from './config.mjs';
import { png } from './fake/images.mjs';
import { haveRecordings } from './fake/provider.mjs';
import { matrix } from './matrix.mjs';
import { call, eachServer, errorOf, events } from './suite.mjs';
import { seen } from './wire.mjs';

const messages = [{ role: 'user', content: 'Hello' }];
const tools = [{ name: 'look', input_schema: { type: 'object', properties: { at: { type: 'string' } }, required: ['at'] } }];

eachServer('anthropic SDK', {}, (s) => {
        matrix(s, anthropic);

        describe('anthropic SDK alone', () => {
                let client;
                before(() => (client = anthropic.client(s.url, callerKey)));
                const create = (q, o) => client.messages.create({ max_tokens: 500, messages, ...q }, o);

                test('x-api-key, older and newer versions, the beta query', async () => {
                        const body = { model: 'claude', max_tokens: 50, messages };
                        for (const version of ['2023-06-01', '2026-10-21', undefined]) {
                                const headers = { 'x-api-key': callerKey, ...(version ? { 'anthropic-version': version } : {}) };
                                const r = await call(s, '/v1/messages?beta=true', { body, headers, key: null });
                                assert.equal(r.status, 200, version);
                                assert.equal(r.json.type, 'message');
                                assert.equal(r.headers.get('request-id'), r.headers.get('x-request-id'));
                        }
                        const list = await client.models.list();
                        assert.ok(list.data.some((m) => m.id === 'claude' && m.type === 'model'));
                        assert.equal((await client.models.retrieve('claude')).id, 'claude');
                });

                test('sampling under the newer version is refused there, not here', async () => {
                        const r = await create({ model: 'claude', temperature: 0.4 }, { headers: { 'anthropic-version': '2023-06-01' } });
                        assert.equal(r.type, 'message');
                        assert.equal(s.fake.last().headers['anthropic-version'], '2023-06-01');
                        assert.equal(s.fake.last().body.temperature, 0.4);
                });

                test('thinking with tools stays byte for byte to Claude, redacted too', async () => {
                        s.fake.script('claude-sonnet-4-6', { blocks: [{ thinking: '' }, { redacted: true }, { thinking: 'So — “hm”.' }, { tool: { name: 'look', input: { at: 'é\u2028' } } }] });
                        for (const stream of [false, true]) {
                                const thinking = { type: 'enabled', budget_tokens: 1024 };
                                const q = { model: 'claude', max_tokens: 4000, messages, tools, thinking };
                                const m = stream ? await client.messages.stream(q).finalMessage() : await client.messages.create(q);
                                assert.deepEqual(m.content.map((b) => b.type), ['thinking', 'redacted_thinking', 'thinking', 'tool_use']);
                                const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: m.content[3].id, content: [{ type: 'text', text: 'ok' }] }] };
                                await client.messages.create({ ...q, messages: [...messages, { role: 'assistant', content: m.content }, result] });
                                assert.deepEqual(s.fake.last().body.messages[1].content, m.content);
                        }
                });

                test('pings, block order, and sums of usage in a stream', async () => {
                        for (const [model, name] of [['gpt', 'gpt-4o'], ['gemini', 'gemini-3.5-flash'], ['claude', 'claude-sonnet-4-6']]) {
                                s.fake.script(name, { blocks: [{ text: 'one two' }, { tool: { name: 'look', input: { at: 'x' } } }, { tool: { name: 'look', input: { at: 'y' } } }], interleaved: true });
                                const r = await call(s, '/v1/messages', { body: { model, max_tokens: 500, messages, tools, stream: true } });
                                assert.match(r.headers.get('content-type'), /^text\/event-stream/);
                                assert.equal(r.headers.get('cache-control'), 'no-cache');
                                assert.equal(r.headers.get('x-accel-buffering'), 'no');
                                const list = events(r.text).filter((e) => e.event !== 'ping');
                                assert.ok(list.every((e) => e.event === e.json.type));
                                assert.equal(list[0].event, 'message_start');
                                assert.deepEqual(list.slice(-2).map((e) => e.event), ['message_delta', 'message_stop']);
                                let open = null, next = 0;
                                const told = list.filter((e) => e.event === 'content_block_start').map((e) => e.json.content_block.type);
                                for (const { json } of list) {
                                        if (json.type === 'content_block_start') {
                                                assert.equal(open, null, 'one block at a time');
                                                assert.equal(json.index, next++);
                                                open = json.index;
                                        }
                                        if (json.type === 'content_block_delta')
                                                assert.equal(json.index, open);
                                        if (json.type === 'content_block_stop')
                                                open = null;
                                }
                                /* Signatures of another provider may travel in blocks of their own. */
                                assert.deepEqual(told.filter((t) => !/thinking/.test(t)), ['text', 'tool_use', 'tool_use']);
                                assert.equal(next, told.length);
                                assert.equal(list.at(-2).json.delta.stop_reason, 'tool_use');
                        }
                });

                test('cache marks and metadata are hints to others, and travel to Claude', async () => {
                        const cache_control = { type: 'ephemeral', ttl: '1h' };
                        const q = {
                                system: [{ type: 'text', text: 'Long rules', cache_control }], metadata: { user_id: 'u1' }, max_tokens: 50,
                                messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi', cache_control }] }],
                        };
                        await client.messages.create({ model: 'claude', ...q });
                        assert.deepEqual(s.fake.last().body.system[0].cache_control, cache_control);
                        for (const model of ['gpt', 'gemini'])
                                assert.equal((await client.messages.create({ model, ...q })).type, 'message');
                });

                test('tool results with images go where they can', async () => {
                        for (const model of ['gpt', 'claude', 'gemini']) {
                                const assistant = { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'look', input: { at: 'sky' } }] };
                                const picture = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png().toString('base64') } };
                                const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: [{ type: 'text', text: 'see' }, picture] }] };
                                await create({ model, tools, messages: [...messages, assistant, result] });
                                assert.match(JSON.stringify(s.fake.last().body), new RegExp(png().toString('base64').slice(0, 60).replace(/[+/]/g, '.')));
                        }
                });

                test('mid-conversation system, consecutive turns of one role', async () => {
                        const talk = [
                                { role: 'user', content: 'a' }, { role: 'user', content: 'b' }, { role: 'assistant', content: 'c' }, { role: 'assistant', content: 'd' },
                                { role: 'user', content: 'e' }, { role: 'system', content: 'Be brief' },
                        ];
                        for (const model of ['gpt', 'claude-new', 'gemini']) {
                                await create({ model, messages: talk });
                                assert.match(JSON.stringify(s.fake.last().body), /Be brief/);
                        }
                });

                test('prefill is refused where the model has none', async () => {
                        const e = await create({ model: 'claude-new', messages: [...messages, { role: 'assistant', content: 'So' }] }).then(() => null, (x) => x);
                        assert.equal(e?.status, 400);
                        await create({ model: 'claude-old', messages: [...messages, { role: 'assistant', content: 'So' }] });
                });

                test('stop sequences are named', async () => {
                        s.fake.script('claude-sonnet-4-6', { text: 'till', finish: 'stop_sequence', stopSequence: 'END' });
                        const m = await create({ model: 'claude', stop_sequences: ['END'] });
                        assert.deepEqual([m.stop_reason, m.stop_sequence], ['stop_sequence', 'END']);
                });

                test('errors have the shape that anthropic has', async () => {
                        for (const [body, word] of [
                                [{ model: 'gpt', messages }, /max_tokens/], [{ model: 'claude', max_tokens: 5 }, /messages/],
                                [{ model: 'gpt', max_tokens: 5, messages: [{ role: 'user', content: [{ type: 'hologram' }] }] }, /messages\[?\.?0/],
                        ]) {
                                const r = await call(s, '/v1/messages', { body });
                                assert.equal(r.status, 400, JSON.stringify(body));
                                const e = errorOf('anthropic', r.json);
                                assert.equal(e.type, 'invalid_request_error');
                                assert.match(e.message, word);
                        }
                });

                test('recordings come through', { skip: haveRecordings ? false : 'no recordings at hand' }, async () => {
                        s.fake.script('claude-sonnet-4-6', { replay: 'anthropic/recorded/test_opus_46_adaptive_thinking.json' });
                        const m = await client.messages.stream({ model: 'claude', max_tokens: 500, messages }).finalMessage();
                        assert.deepEqual(m.content.map((b) => b.type), ['text', 'thinking', 'text']);
                        assert.deepEqual([m.usage.input_tokens, m.usage.output_tokens], [34, 44]);
                        s.fake.script('gpt-4o', { replay: 'openai/chat/openai-text.chunks.txt' });
                        const o = await client.messages.stream({ model: 'gpt', max_tokens: 500, messages }).finalMessage();
                        assert.match(o.content[0].text, /Holiday/);
                        assert.deepEqual([o.usage.input_tokens, o.usage.output_tokens], [16, 300]);
                        s.fake.script('gemini-3.5-flash', { replay: 'google/google-tool-call-gemini3.chunks.txt' });
                        const g = await client.messages.stream({ model: 'gemini', max_tokens: 500, messages }).finalMessage();
                        assert.equal(g.content.find((b) => b.type === 'tool_use').name, 'weather');
                        assert.equal(g.stop_reason, 'tool_use');
                });

                test('an answer given back to another provider loses its signature, nothing else', async () => {
                        s.fake.script('claude-sonnet-4-6', { blocks: [{ thinking: 'Hm' }, { text: 'Well' }] });
                        const m = await create({ model: 'claude', max_tokens: 2000 });
                        for (const model of ['gpt', 'gemini', 'claude-new']) {
                                await create({ model, messages: [...messages, { role: 'assistant', content: m.content }, { role: 'user', content: 'And?' }] });
                                const v = seen(s.fake.last());
                                assert.match(v.user, /And\?/);
                        }
                });
        });
});
