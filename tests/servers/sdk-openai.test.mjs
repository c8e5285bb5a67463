// The openai package with only baseURL and key changed, through every server.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { openai } from './adapters.mjs';
import { callerKey } from './config.mjs';
import { png } from './fake/images.mjs';
import { haveRecordings } from './fake/provider.mjs';
import { matrix } from './matrix.mjs';
import { call, eachServer, errorOf, events } from './suite.mjs';
import { seen } from './wire.mjs';

const messages = [{ role: 'user', content: 'Say it in JSON' }];
const collect = async (stream) => {
        const chunks = [];
        for await (const c of stream)
                chunks.push(c);
        return chunks;
};

eachServer('openai SDK', (fake) => ({ settings: { fetch: { allow: ['127.0.0.1', `127.0.0.1:${fake.port}`] } } }), (s) => {
        matrix(s, openai);

        describe('openai SDK alone', () => {
                let client;
                before(() => (client = openai.client(s.url, callerKey)));
                const create = (q) => client.chat.completions.create({ messages, ...q });

                test('models', async () => {
                        const ids = (await client.models.list()).data.map((m) => m.id);
                        assert.ok(ids.includes('gpt') && ids.includes('embed-gemini'));
                        assert.equal((await client.models.retrieve('claude')).id, 'claude');
                        await assert.rejects(client.models.retrieve('nobody'), { status: 404 });
                });

                test('no usage chunk for those who did not ask, and unknown fields travel', async () => {
                        for (const [model, name] of [['gpt', 'gpt-4o'], ['claude', 'claude-sonnet-4-6'], ['gemini', 'gemini-3.5-flash']]) {
                                s.fake.script(name, { text: 'one two' });
                                const chunks = await collect(await create({ model, stream: true }));
                                assert.ok(chunks.every((c) => c.usage == null && c.choices.length > 0), name);
                                assert.equal(chunks.map((c) => c.choices[0].delta.content ?? '').join(''), 'one two');
                                assert.deepEqual(new Set(chunks.map((c) => c.id)).size, 1);
                        }
                        assert.equal(s.fake.requests[0].body.stream_options?.include_usage, true, 'usage is counted all the same');
                });

                test('n', async () => {
                        s.fake.script('gpt-4o', { text: 'one two' });
                        assert.equal((await create({ model: 'gpt', n: 2 })).choices.length, 2);
                        assert.equal((await create({ model: 'gemini', n: 2 })).choices.length, 2);
                        assert.equal(s.fake.last('gemini-3.5-flash').body.generationConfig.candidateCount, 2);
                        const chunks = await collect(await create({ model: 'gpt', n: 2, stream: true }));
                        assert.deepEqual([...new Set(chunks.flatMap((c) => c.choices.map((x) => x.index)))].sort(), [0, 1]);
                        await assert.rejects(create({ model: 'claude', n: 2 }), (e) => e.status === 400 && e.code === 'unsupported_value' && e.param === 'n');
                });

                test('logprobs', async () => {
                        s.fake.script('gpt-4o', { text: 'one two' });
                        const r = await create({ model: 'gpt', logprobs: true, top_logprobs: 2 });
                        assert.deepEqual(r.choices[0].logprobs.content.map((t) => t.token), ['one', ' two']);
                        assert.equal(r.choices[0].logprobs.content[0].top_logprobs.length, 2);
                        await assert.rejects(create({ model: 'claude', logprobs: true }), { status: 400, param: 'logprobs' });
                });

                test('json_object', async () => {
                        for (const [model, name] of [['gpt', 'gpt-4o'], ['gemini', 'gemini-3.5-flash']]) {
                                s.fake.script(name, { text: '{"a":1}' });
                                const r = await create({ model, response_format: { type: 'json_object' } });
                                assert.deepEqual(JSON.parse(r.choices[0].message.content), { a: 1 });
                        }
                        assert.equal(seen(s.fake.last('gemini-3.5-flash')).mime, 'application/json');
                });

                test('developer messages, also in mid-conversation', async () => {
                        const talk = [
                                { role: 'developer', content: 'Rule one.' }, { role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Hello' },
                                { role: 'system', content: 'Rule two.' }, { role: 'user', content: 'Go on' },
                        ];
                        for (const model of ['gpt', 'gpt-thinks', 'claude', 'claude-new', 'gemini']) {
                                await create({ model, messages: talk });
                                const v = seen(s.fake.last());
                                assert.match(`${v.system}\n${v.user}`, /Rule one\.[^]*Rule two\./, model);
                                assert.match(v.system, /Rule one\./, model);
                        }
                });

                test('reasoning models get their own field names', async () => {
                        await create({ model: 'gpt-thinks', max_tokens: 77, reasoning_effort: 'low' });
                        assert.equal(s.fake.last().body.max_completion_tokens, 77);
                        assert.equal(s.fake.last().body.max_tokens, undefined);
                        for (const model of ['claude', 'claude-new', 'gemini', 'gemini-old', 'claude-old'])
                                for (const reasoning_effort of ['none', 'minimal', 'low', 'medium', 'high', 'xhigh'])
                                        await create({ model, reasoning_effort, max_completion_tokens: 60000 });
                });

                test('several system and tool messages merge into the turns that Claude wants', async () => {
                        const calls = ['a', 'b'].map((id) => ({ id, type: 'function', function: { name: 'f', arguments: '' } }));
                        await create({
                                model: 'claude', tools: [{ type: 'function', function: { name: 'f' } }],
                                messages: [
                                        { role: 'user', content: 'Go' }, { role: 'assistant', content: null, tool_calls: calls },
                                        { role: 'tool', tool_call_id: 'a', content: '1' }, { role: 'tool', tool_call_id: 'b', content: '' }, { role: 'user', content: 'And?' },
                                ],
                        });
                        assert.deepEqual(s.fake.last().body.messages.map((m) => m.role), ['user', 'assistant', 'user']);
                });

                test('history of another provider goes to Gemini with the sentinel', async () => {
                        const tools = [{ type: 'function', function: { name: 'f' } }];
                        const call1 = { id: 'call_x', type: 'function', function: { name: 'f', arguments: '{}' } };
                        await create({
                                model: 'gemini', tools,
                                messages: [{ role: 'user', content: 'Go' }, { role: 'assistant', tool_calls: [call1] }, { role: 'tool', tool_call_id: 'call_x', content: '[1,2]' }],
                        });
                        assert.deepEqual(seen(s.fake.last()).signatures, ['skip_thought_signature_validator']);
                });

                test('an answer of one provider goes on to another', async () => {
                        const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: { a: { type: 'integer' } } } } }];
                        for (const [first, name] of [['claude', 'claude-sonnet-4-6'], ['gemini', 'gemini-3.5-flash'], ['gpt', 'gpt-4o']])
                                for (const then of ['gpt', 'claude', 'gemini', 'claude-new']) {
                                        s.fake.reset();
                                        const thought = first === 'claude' ? [{ thinking: 'Hm' }, { redacted: true }] : [];
                                        s.fake.script(name, { blocks: [...thought, { text: 'Wait' }, { tool: { name: 'f', input: { a: 1 } } }] });
                                        const { message } = (await create({ model: first, tools })).choices[0];
                                        s.fake.script(name, {});
                                        const result = { role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'ok' };
                                        const r = await create({ model: then, tools, messages: [...messages, message, result] });
                                        assert.match(r.choices[0].message.content, /^This is/, `${first} to ${then}`);
                                        assert.deepEqual(s.fake.violations, [], `${first} to ${then}`);
                                }
                });

                test('an image by URL is fetched for Gemini', async () => {
                        const image = (url) => [{ role: 'user', content: [{ type: 'text', text: 'See' }, { type: 'image_url', image_url: { url } }] }];
                        const url = `${s.fake.url}/images/photo.png`;
                        await create({ model: 'gemini', messages: image(url) });
                        assert.deepEqual(seen(s.fake.last()).images, [{ type: 'image/png', data: png(7, 5).toString('base64') }]);
                        assert.equal(s.fake.fetched[0].headers.authorization, undefined);
                        await create({ model: 'claude', messages: image('https://pictures.example/x.png') });
                        assert.deepEqual(seen(s.fake.last()).images, [{ url: 'https://pictures.example/x.png' }]);
                        for (const bad of [`${s.fake.url}/images/page.html`, `${s.fake.url}/images/none.png`, 'http://169.254.169.254/latest/meta-data', 'http://[::1]/x.png', 'file:///etc/passwd']) {
                                const e = await create({ model: 'gemini', messages: image(bad) }).then(() => null, (x) => x);
                                assert.equal(e?.status, 400, bad);
                                assert.match(e.message, /messages\[0\]\.content\[1\]/, bad);
                        }
                });

                test('retries of the SDK end well', async () => {
                        s.fake.script('gpt-4o', { status: 503, message: 'busy', headers: { 'retry-after': '1' } }, { text: 'Now' });
                        const patient = openai.client(s.url, callerKey, { maxRetries: 2 });
                        const r = await patient.chat.completions.create({ model: 'gpt', messages });
                        assert.equal(r.choices[0].message.content, 'Now');
                });

                test('more inputs than one call takes are put together again', async () => {
                        const input = Array.from({ length: 150 }, (_, i) => `text ${i}`);
                        const r = await client.embeddings.create({ model: 'embed-gemini', input, dimensions: 8, encoding_format: 'float' });
                        assert.equal(r.data.length, 150);
                        assert.deepEqual(r.data.map((d) => d.index), input.map((_, i) => i));
                        assert.ok(s.fake.requests.length >= 2);
                });

                test('nothing of the caller travels along', async () => {
                        const r = await call(s, '/v1/chat/completions', {
                                body: { model: 'gpt', messages }, headers: { cookie: 'session=1', referer: 'https://a.example/', 'x-forwarded-for': '1.2.3.4', 'openai-organization': 'org-x', 'x-team': 'a' },
                        });
                        assert.equal(r.status, 200);
                        assert.equal(s.fake.last().headers['openai-organization'], undefined);
                        assert.equal(r.headers.get('openai-organization'), null, 'nor do raw headers of the provider come back');
                });

                test('recordings come through byte for byte', { skip: haveRecordings ? false : 'no recordings at hand' }, async () => {
                        s.fake.script('gpt-4o', { replay: 'openai/recorded/chat-streaming.json' });
                        const r = await call(s, '/v1/chat/completions', { body: { model: 'gpt', messages, stream: true, stream_options: { include_usage: true } } });
                        const text = events(r.text).map((e) => e.json?.choices?.[0]?.delta.content ?? '').join('');
                        assert.match(text, /^Hi there!/);
                        assert.equal(events(r.text).at(-1).data, '[DONE]');
                        s.fake.script('claude-sonnet-4-6', { replay: 'anthropic/recorded/test_opus_46_adaptive_thinking.json' });
                        const a = await client.chat.completions.stream({ model: 'claude', messages, stream_options: { include_usage: true } }).finalChatCompletion();
                        assert.match(a.choices[0].message.content, /\*\*Gullet\*\*/);
                        assert.deepEqual([a.usage.prompt_tokens, a.usage.completion_tokens, a.choices[0].finish_reason], [34, 44, 'stop']);
                        s.fake.script('gemini-3.5-flash', { replay: 'google/google-tool-call-gemini3.chunks.txt' });
                        const g = await client.chat.completions.stream({ model: 'gemini', messages }).finalChatCompletion();
                        assert.equal(g.choices[0].message.tool_calls[0].function.name, 'weather');
                        assert.equal(g.choices[0].finish_reason, 'tool_calls');
                });

                test('errors have the shape that openai has', async () => {
                        for (const [body, param] of [
                                [{ model: 'gpt' }, /messages/], [{ model: 'gpt', messages: 'x' }, /messages/], [{ model: 'gpt', messages, temperature: 'hot' }, /temperature/],
                                [{ model: 'gpt', messages: [{ role: 'user', content: [{ type: 'hologram' }] }] }, /messages\[0\]\.content\[0\]/],
                        ]) {
                                const r = await call(s, '/v1/chat/completions', { body });
                                assert.equal(r.status, 400, JSON.stringify(body));
                                const e = errorOf('openai', r.json);
                                assert.equal(e.type, 'invalid_request_error');
                                assert.match(`${e.param} ${e.message}`, param);
                        }
                });
        });
});
