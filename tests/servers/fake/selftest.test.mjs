// Checks the fake itself: the official SDKs talk to it directly, and what they send by the book is no violation; what the
// provider's documents forbid is.
import assert from 'node:assert/strict';
import { after, beforeEach, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { dataUrl, png } from './images.mjs';
import { gate, haveRecordings, startFake, vector } from './provider.mjs';

const fake = await startFake({ lax: true });
after(() => fake.stop());
beforeEach(() => fake.reset());

const openai = new OpenAI({ baseURL: fake.base('openai'), apiKey: fake.keys.openai, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: fake.base('anthropic'), apiKey: fake.keys.anthropic, maxRetries: 0 });
const gemini = new GoogleGenAI({ apiKey: fake.keys.gemini, httpOptions: { baseUrl: fake.base('gemini') } });

const clean = () => assert.deepEqual(fake.violations, []);
const said = (path) => assert.ok(fake.violations.some((v) => v.path.includes(path)), `${path} in ${JSON.stringify(fake.violations)}`);
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };

describe('openai', () => {
        const messages = [{ role: 'user', content: 'Hi' }];
        test('text, stream with usage', async () => {
                fake.script('gpt-4o', { text: 'Good day to you', usage: { input: 9, output: 4, cached: 3 } });
                const r = await openai.chat.completions.create({ model: 'gpt-4o', messages, temperature: 0.2, max_tokens: 9 });
                assert.equal(r.choices[0].message.content, 'Good day to you');
                const stream = await openai.chat.completions.create({ model: 'gpt-4o', messages, stream: true, stream_options: { include_usage: true } });
                let text = '', usage;
                for await (const c of stream) {
                        text += c.choices[0]?.delta.content ?? '';
                        usage = c.usage ?? usage;
                }
                assert.equal(text, 'Good day to you');
                assert.equal(usage.prompt_tokens_details.cached_tokens, 3);
                clean();
        });
        test('tools, interleaved in a stream, and the way back', async () => {
                fake.script('gpt-4o', { interleaved: true, blocks: [{ tool: { name: 'w', input: { city: 'Rome' } } }, { tool: { name: 'w', input: { city: 'Oslo' } } }] });
                const tools = [{ type: 'function', function: { name: 'w', parameters: schema } }];
                const r = await openai.chat.completions.stream({ model: 'gpt-4o', messages, tools }).finalChatCompletion();
                const calls = r.choices[0].message.tool_calls;
                assert.deepEqual(calls.map((c) => c.function.arguments), ['{"city":"Rome"}', '{"city":"Oslo"}']);
                fake.script('gpt-4o', {});
                const back = [...messages, { role: 'assistant', tool_calls: calls }, ...calls.map((c) => ({ role: 'tool', tool_call_id: c.id, content: '7' }))];
                await openai.chat.completions.create({ model: 'gpt-4o', messages: back, tools });
                clean();
                await assert.rejects(openai.chat.completions.create({ model: 'gpt-4o', messages: back.slice(0, 3), tools }), { status: 400 });
                said('messages');
        });
        test('images, schema, embeddings in both encodings', async () => {
                await openai.chat.completions.create({
                        model: 'gpt-4o', response_format: { type: 'json_schema', json_schema: { name: 's', schema, strict: true } },
                        messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: dataUrl(png()) } }] }],
                });
                const e = await openai.embeddings.create({ model: 'text-embedding-3-small', input: ['a', 'b'], dimensions: 8 });
                assert.deepEqual(e.data[1].embedding, vector('b', 8));
                const f = await openai.embeddings.create({ model: 'text-embedding-3-small', input: 'a', encoding_format: 'float', dimensions: 8 });
                assert.deepEqual(f.data[0].embedding, vector('a', 8));
                clean();
        });
        test('what reasoning models refuse', async () => {
                for (const [extra, path] of [
                        [{ temperature: 0.1 }, 'temperature'], [{ max_tokens: 5 }, 'max_tokens'], [{ reasoning_effort: 'minimal' }, 'reasoning_effort'],
                        [{ logit_bias: { 5: 1 } }, 'logit_bias'], [{ stream_options: { include_usage: true } }, 'stream_options'], [{ top_k: 5 }, 'top_k'],
                ]) {
                        fake.reset();
                        await assert.rejects(openai.chat.completions.create({ model: 'gpt-5.5', messages, ...extra }), { status: 400 });
                        said(path);
                }
                fake.reset();
                await openai.chat.completions.create({ model: 'gpt-5.5', messages, temperature: 0.1, reasoning_effort: 'none' });
                clean();
        });
});

describe('anthropic', () => {
        const ask = { model: 'claude-sonnet-4-6', max_tokens: 2000, messages: [{ role: 'user', content: 'Hi' }] };
        test('thinking, text, stream, tools, the way back', async () => {
                fake.script('claude-sonnet-4-6', { blocks: [{ thinking: 'Hm, so.' }, { text: 'Let me see' }, { tool: { name: 'w', input: { city: 'Rome' } } }] });
                const tools = [{ name: 'w', input_schema: schema }];
                const thinking = { type: 'enabled', budget_tokens: 1024 };
                const m = await anthropic.messages.stream({ ...ask, tools, thinking }).finalMessage();
                assert.deepEqual(m.content.map((b) => b.type), ['thinking', 'text', 'tool_use']);
                assert.deepEqual(m.content[2].input, { city: 'Rome' });
                assert.equal(m.stop_reason, 'tool_use');
                fake.script('claude-sonnet-4-6', {});
                const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: m.content[2].id, content: '7' }] };
                await anthropic.messages.create({ ...ask, tools, thinking, messages: [...ask.messages, { role: 'assistant', content: m.content }, result] });
                clean();
                const changed = [{ ...m.content[0], thinking: 'Ha' }, ...m.content.slice(1)];
                await assert.rejects(anthropic.messages.create({
                        ...ask, tools, thinking, messages: [...ask.messages, { role: 'assistant', content: changed }, result],
                }), { status: 400 });
                await assert.rejects(anthropic.messages.create({
                        ...ask, tools, thinking, messages: [...ask.messages, { role: 'assistant', content: m.content.slice(1) }, result],
                }), { status: 400 });
        });
        test('what it refuses', async () => {
                for (const [extra, path] of [
                        [{ temperature: 0.1 }, 'temperature'], [{ model: 'claude-opus-5-5', tools: [{ name: 'w', input_schema: schema }], tool_choice: { type: 'any' } }, 'tool_choice'],
                        [{ model: 'claude-opus-4-7', thinking: { type: 'enabled', budget_tokens: 1024 } }, 'thinking'],
                        [{ model: 'claude-opus-4-7', messages: [...ask.messages, { role: 'assistant', content: 'So' }] }, 'messages'],
                        [{ n: 2 }, 'n'], [{ stop_sequences: [' '] }, 'stop_sequences'], [{ system: '' }, 'system'],
                ]) {
                        fake.reset();
                        await assert.rejects(anthropic.messages.create({ ...ask, ...extra }), { status: 400 });
                        said(path);
                }
        });
});

describe('gemini', () => {
        test('text, thoughts, stream, image', async () => {
                fake.script('gemini-3.5-flash', { blocks: [{ thinking: 'Hm' }, { text: 'Good day to you', sign: true }] });
                const contents = [{ role: 'user', parts: [{ text: 'Hi' }, { inlineData: { mimeType: 'image/png', data: png().toString('base64') } }] }];
                const config = { thinkingConfig: { includeThoughts: true, thinkingLevel: 'LOW' } };
                const r = await gemini.models.generateContent({ model: 'gemini-3.5-flash', contents, config });
                assert.equal(r.text, 'Good day to you');
                let text = '', thoughts = '';
                for await (const c of await gemini.models.generateContentStream({ model: 'gemini-3.5-flash', contents, config }))
                        for (const p of c.candidates[0].content.parts)
                                p.thought ? (thoughts += p.text) : (text += p.text);
                assert.deepEqual([text, thoughts], ['Good day to you', 'Hm']);
                clean();
        });
        test('signatures must come back', async () => {
                fake.script('gemini-3.5-flash', { blocks: [{ tool: { name: 'w', input: { city: 'Rome' } } }, { tool: { name: 'w', input: {} } }] });
                const config = { tools: [{ functionDeclarations: [{ name: 'w', parametersJsonSchema: schema }] }] };
                const user = { role: 'user', parts: [{ text: 'Hi' }] };
                const r = await gemini.models.generateContent({ model: 'gemini-3.5-flash', contents: [user], config });
                const turn = r.candidates[0].content;
                const results = { role: 'user', parts: turn.parts.map((p) => ({ functionResponse: { id: p.functionCall.id, name: 'w', response: { output: 7 } } })) };
                fake.script('gemini-3.5-flash', {});
                await gemini.models.generateContent({ model: 'gemini-3.5-flash', contents: [user, turn, results], config });
                clean();
                const bare = { role: 'model', parts: turn.parts.map(({ functionCall }) => ({ functionCall })) };
                await assert.rejects(gemini.models.generateContent({ model: 'gemini-3.5-flash', contents: [user, bare, results], config }), { status: 400 });
                const half = { role: 'user', parts: results.parts.slice(1) };
                await assert.rejects(gemini.models.generateContent({ model: 'gemini-3.5-flash', contents: [user, turn, half], config }), { status: 400 });
        });
        test('what it refuses', async () => {
                const parts = [{ text: 'Hi' }];
                for (const [more, config, path] of [
                        [[], { responseJsonSchema: schema }, 'generationConfig'], [[{ fileData: { fileUri: 'https://a.example/x.png' } }], {}, 'fileUri'],
                        [[], { thinkingConfig: { thinkingBudget: 1, thinkingLevel: 'LOW' } }, 'thinkingConfig'],
                        [[], { tools: [{ functionDeclarations: [{ name: 'w', parametersJsonSchema: { type: 'object', properties: {} } }] }] }, 'parameters'],
                ]) {
                        fake.reset();
                        await assert.rejects(gemini.models.generateContent({
                                model: 'gemini-3.5-flash', contents: [{ role: 'user', parts: [...parts, ...more] }], config,
                        }), { status: 400 });
                        said(path);
                }
        });
        test('embeddings', async () => {
                const r = await gemini.models.embedContent({ model: 'gemini-embedding-001', contents: ['a', 'b'], config: { outputDimensionality: 8 } });
                assert.deepEqual(r.embeddings.map((e) => e.values), [vector('a', 8), vector('b', 8)]);
                clean();
        });
});

describe('faults', () => {
        const ask = (extra = {}) => openai.chat.completions.create({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }], ...extra });
        test('errors, cuts, wrong lengths', async () => {
                fake.script('gpt-4o', { status: 429, message: 'slow down', headers: { 'retry-after': '1' } });
                await assert.rejects(ask(), { status: 429, message: /slow down/ });
                for (const script of [{ cut: 'connect' }, { cut: 2 }, { length: 'long' }, { length: 'short' }]) {
                        fake.script('gpt-4o', script);
                        await assert.rejects(ask(), undefined, JSON.stringify(script));
                }
                for (const script of [{ cut: 1 }, { errorEvent: 1 }, { malformed: 1 }]) {
                        fake.script('gpt-4o', { text: 'one two three', ...script });
                        await assert.rejects(async () => {
                                for await (const c of await ask({ stream: true }))
                                        void c;
                        }, undefined, JSON.stringify(script));
                }
                clean();
        });
        test('a gate holds the stream, and the peer that leaves is seen', async () => {
                const hold = gate();
                fake.script('gpt-4o', { text: 'one two three', gates: { 1: hold.promise } });
                const stream = await ask({ stream: true });
                for await (const c of stream)
                        if (c.choices[0].delta.content) {
                                assert.equal(c.choices[0].delta.content, 'one');
                                assert.equal(fake.last().sent.filter((s) => s.content).length, 1);
                                break;
                        }
                assert.ok(await fake.until(() => fake.last().aborted));
                hold.open();
        });
        test('a wrong key, an unknown path', async () => {
                const other = new OpenAI({ baseURL: fake.base('openai'), apiKey: 'nope', maxRetries: 0 });
                await assert.rejects(other.models.list(), { status: 404 });
                await assert.rejects(other.chat.completions.create({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }] }), { status: 401 });
                said('credentials');
        });
});

test('recordings play', { skip: haveRecordings ? false : 'no recordings at hand' }, async () => {
        fake.script('gpt-4o', { replay: 'openai/chat/openai-text.chunks.txt' });
        const r = await openai.chat.completions.stream({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }] }).finalChatCompletion();
        assert.ok(r.choices[0].message.content.length > 100);
        fake.script('claude-sonnet-4-6', { replay: 'anthropic/anthropic-text.chunks.txt' });
        const m = await anthropic.messages.stream({ model: 'claude-sonnet-4-6', max_tokens: 9, messages: [{ role: 'user', content: 'Hi' }] }).finalMessage();
        assert.match(m.content[0].text, /Hello/);
});
