// The official SDKs behind one face, so that one matrix of scenarios runs through each of them.
//
// ask(client, q): q = { model, system, turns, tools, choice, parallel, schema, json, stop, max, temperature, topP, thoughts, stream, signal, onText }
// turns: { user: text | [{text} | {image: Buffer, type} | {url} | {pdf: Buffer}] }, { turn } (an answer given back as it came),
// { results: [{ call, output, error, image }] }.
// Gives { text, thoughts, calls: [{id, name, input}], finish, usage, served, headers, turn, pieces }.
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { dataUrl } from './fake/images.mjs';

const parse = (text) => {
        try {
                return JSON.parse(text || '{}');
        } catch {
                return text;
        }
};

/* ---------------------------------------------------------------- openai */

const openaiPart = (p) => {
        if (p.text !== undefined)
                return { type: 'text', text: p.text };
        if (p.pdf)
                return { type: 'file', file: { filename: 'a.pdf', file_data: dataUrl(p.pdf, 'application/pdf') } };
        return { type: 'image_url', image_url: { url: p.url ?? dataUrl(p.image, p.type) } };
};
const openaiTurns = (q) => [
        ...(q.system ? [{ role: 'system', content: q.system }] : []),
        ...q.turns.flatMap((t) => {
                if (t.turn)
                        return [t.turn];
                if (t.results)
                        return t.results.map((r) => ({ role: 'tool', tool_call_id: r.call.id, content: r.error ?? r.output }));
                return [{ role: 'user', content: typeof t.user === 'string' ? t.user : t.user.map(openaiPart) }];
        }),
];
const openaiChoice = (c) => (c && !['auto', 'none', 'required'].includes(c) ? { type: 'function', function: { name: c } } : c);
const openaiFinish = { stop: 'stop', length: 'length', tool_calls: 'tool', content_filter: 'filter' };
const lean = (o) => Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined));

export const openaiParams = (q) => lean({
        model: q.model, messages: openaiTurns(q), max_completion_tokens: q.max, temperature: q.temperature, top_p: q.topP, stop: q.stop,
        tools: q.tools?.map((t) => ({ type: 'function', function: { name: t.name, description: t.description, parameters: t.parameters } })),
        tool_choice: openaiChoice(q.choice), parallel_tool_calls: q.parallel, reasoning_effort: q.effort,
        response_format: q.schema ? { type: 'json_schema', json_schema: { name: 'answer', schema: q.schema, strict: true } } : q.json ? { type: 'json_object' } : undefined,
        ...q.extra,
});

// The stream helper adds members of its own to a message; they are not the server's.
const ownMembers = ({ parsed, tool_calls, ...message }) => ({
        ...message,
        ...(tool_calls ? { tool_calls: tool_calls.map(({ function: { parsed_arguments, ...f }, ...c }) => ({ ...c, function: f })) } : {}),
});

const openaiResult = (r, pieces, headers) => {
        const message = ownMembers(r.choices[0].message), { finish_reason } = r.choices[0];
        return {
                text: message.content ?? '', refusal: message.refusal, finish: openaiFinish[finish_reason], served: r.model, turn: message, pieces, headers, raw: r,
                calls: (message.tool_calls ?? []).map((c) => ({ id: c.id, name: c.function.name, input: parse(c.function.arguments) })),
                usage: r.usage && {
                        input: r.usage.prompt_tokens, output: r.usage.completion_tokens, cached: r.usage.prompt_tokens_details?.cached_tokens ?? 0,
                        reasoning: r.usage.completion_tokens_details?.reasoning_tokens ?? 0,
                },
        };
};

export const openai = {
        name: 'openai',
        client: (url, key, options = {}) => new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, ...options }),
        ask: async (client, q) => {
                if (!q.stream) {
                        const { data, response } = await client.chat.completions.create(openaiParams(q), { signal: q.signal }).withResponse();
                        return openaiResult(data, [], response.headers);
                }
                const stream = client.chat.completions.stream({ ...openaiParams(q), stream_options: { include_usage: true } }, { signal: q.signal });
                const pieces = [];
                stream.on('content', (piece) => {
                        pieces.push(piece);
                        q.onText?.(piece);
                });
                return openaiResult(await stream.finalChatCompletion(), pieces);
        },
        embed: async (client, { model, input, dimensions }) => {
                const r = await client.embeddings.create(lean({ model, input, dimensions }));
                return { vectors: r.data.map((d) => d.embedding), tokens: r.usage.prompt_tokens };
        },
        error: (e) => ({ status: e.status, message: e.message, type: e.type, code: e.code, param: e.param, headers: e.headers }),
};

/* ---------------------------------------------------------------- anthropic */

const base64 = (bytes, media_type) => ({ type: 'base64', media_type, data: bytes.toString('base64') });
const anthropicPart = (p) => {
        if (p.text !== undefined)
                return { type: 'text', text: p.text };
        if (p.pdf)
                return { type: 'document', title: 'a.pdf', source: base64(p.pdf, 'application/pdf') };
        return { type: 'image', source: p.url ? { type: 'url', url: p.url } : base64(p.image, p.type ?? 'image/png') };
};
const anthropicResult = (r) => ({
        type: 'tool_result', tool_use_id: r.call.id, ...(r.error ? { is_error: true } : {}),
        content: r.image ? [{ type: 'text', text: r.output }, anthropicPart({ image: r.image })] : r.error ?? r.output,
});
const anthropicTurns = (q) => q.turns.map((t) => {
        if (t.turn)
                return t.turn;
        if (t.results)
                return { role: 'user', content: t.results.map(anthropicResult) };
        return { role: 'user', content: typeof t.user === 'string' ? t.user : t.user.map(anthropicPart) };
});
const anthropicChoice = (q) => {
        if (!q.choice && q.parallel === undefined)
                return undefined;
        const parallel = q.parallel === false ? { disable_parallel_tool_use: true } : {};
        const type = { auto: 'auto', none: 'none', required: 'any' }[q.choice ?? 'auto'];
        return type ? { type, ...parallel } : { type: 'tool', name: q.choice, ...parallel };
};
const anthropicFinish = { end_turn: 'stop', stop_sequence: 'stop', max_tokens: 'length', tool_use: 'tool', refusal: 'filter' };

export const anthropicParams = (q) => lean({
        model: q.model, max_tokens: q.max ?? 4096, messages: anthropicTurns(q), system: q.system, temperature: q.temperature, top_p: q.topP,
        stop_sequences: q.stop, tools: q.tools?.map((t) => ({ name: t.name, description: t.description, input_schema: t.parameters ?? { type: 'object', properties: {} } })),
        tool_choice: anthropicChoice(q), thinking: q.thoughts ? { type: 'adaptive', display: 'summarized' } : undefined,
        output_config: q.schema || q.effort ? lean({ format: q.schema && { type: 'json_schema', schema: q.schema }, effort: q.effort }) : undefined, ...q.extra,
});

const anthropicReply = (m, pieces, headers) => ({
        text: m.content.filter((b) => b.type === 'text').map((b) => b.text).join(''), finish: anthropicFinish[m.stop_reason], served: m.model, pieces, headers, raw: m,
        thoughts: m.content.filter((b) => b.type === 'thinking').map((b) => b.thinking).join(''),
        calls: m.content.filter((b) => b.type === 'tool_use').map((b) => ({ id: b.id, name: b.name, input: b.input })),
        turn: { role: 'assistant', content: m.content }, refusal: m.stop_details?.explanation,
        usage: {
                input: m.usage.input_tokens + (m.usage.cache_read_input_tokens ?? 0) + (m.usage.cache_creation_input_tokens ?? 0),
                output: m.usage.output_tokens, cached: m.usage.cache_read_input_tokens ?? 0, reasoning: m.usage.output_tokens_details?.thinking_tokens ?? 0,
        },
});

export const anthropic = {
        name: 'anthropic',
        client: (url, key, options = {}) => new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0, ...options }),
        // Sampling exists under the older version only.
        options: (q) => ({ signal: q.signal, ...(q.temperature !== undefined || q.topP !== undefined ? { headers: { 'anthropic-version': '2023-06-01' } } : {}) }),
        ask: async (client, q) => {
                if (!q.stream) {
                        const { data, response } = await client.messages.create(anthropicParams(q), anthropic.options(q)).withResponse();
                        return anthropicReply(data, [], response.headers);
                }
                const stream = client.messages.stream(anthropicParams(q), anthropic.options(q));
                const pieces = [];
                stream.on('text', (piece) => {
                        pieces.push(piece);
                        q.onText?.(piece);
                });
                return anthropicReply(await stream.finalMessage(), pieces);
        },
        error: (e) => ({ status: e.status, message: e.error?.error?.message ?? e.message, type: e.error?.error?.type, headers: e.headers }),
};

/* ---------------------------------------------------------------- gemini */

const geminiPart = (p) => {
        if (p.text !== undefined)
                return { text: p.text };
        if (p.url)
                return { fileData: { fileUri: p.url, mimeType: 'image/png' } };
        return { inlineData: { mimeType: p.pdf ? 'application/pdf' : p.type ?? 'image/png', data: (p.pdf ?? p.image).toString('base64') } };
};
const geminiTurns = (q) => q.turns.map((t) => {
        if (t.turn)
                return t.turn;
        if (t.results)
                return {
                        role: 'user',
                        parts: t.results.map((r) => ({
                                functionResponse: lean({ id: r.call.id, name: r.call.name, response: r.error ? { error: r.error } : { output: r.output } }),
                        })),
                };
        return { role: 'user', parts: typeof t.user === 'string' ? [{ text: t.user }] : t.user.map(geminiPart) };
});
const geminiChoice = (c) => {
        const mode = { auto: 'AUTO', none: 'NONE', required: 'ANY' }[c];
        return { functionCallingConfig: mode ? { mode } : { mode: 'ANY', allowedFunctionNames: [c] } };
};
export const geminiParams = (q) => ({
        model: q.model, contents: geminiTurns(q),
        config: lean({
                systemInstruction: q.system, maxOutputTokens: q.max, temperature: q.temperature, topP: q.topP, stopSequences: q.stop, abortSignal: q.signal,
                tools: q.tools && [{ functionDeclarations: q.tools.map((t) => lean({ name: t.name, description: t.description, parametersJsonSchema: t.parameters })) }],
                toolConfig: q.choice && geminiChoice(q.choice),
                thinkingConfig: q.thoughts || q.effort ? lean({ includeThoughts: q.thoughts, thinkingLevel: q.effort?.toUpperCase() }) : undefined,
                ...(q.schema ? { responseMimeType: 'application/json', responseJsonSchema: q.schema } : q.json ? { responseMimeType: 'application/json' } : {}), ...q.extra,
        }),
});
const geminiResult = (last, parts, finish, usage, pieces, headers) => {
        const calls = parts.filter((p) => p.functionCall).map((p) => ({ id: p.functionCall.id, name: p.functionCall.name, input: p.functionCall.args ?? {} }));
        const blocked = last.promptFeedback?.blockReason;
        return {
                text: parts.filter((p) => p.text && !p.thought).map((p) => p.text).join(''), thoughts: parts.filter((p) => p.thought).map((p) => p.text).join(''), calls,
                finish: blocked || ['SAFETY', 'PROHIBITED_CONTENT'].includes(finish) ? 'filter' : finish === 'MAX_TOKENS' ? 'length' : calls.length ? 'tool' : finish === 'STOP' ? 'stop' : finish,
                served: last.modelVersion, turn: { role: 'model', parts }, pieces, headers, raw: last,
                usage: usage && {
                        input: usage.promptTokenCount ?? 0, output: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
                        cached: usage.cachedContentTokenCount ?? 0, reasoning: usage.thoughtsTokenCount ?? 0, total: usage.totalTokenCount,
                },
        };
};
const headersOf = (h) => (h ? new Headers(h) : undefined);

export const gemini = {
        name: 'gemini',
        client: (url, key, options = {}) => new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url, ...options } }),
        ask: async (client, q) => {
                if (!q.stream) {
                        const r = await client.models.generateContent(geminiParams(q));
                        const c = r.candidates?.[0];
                        return geminiResult(r, c?.content?.parts ?? [], c?.finishReason, r.usageMetadata, [], headersOf(r.sdkHttpResponse?.headers));
                }
                const parts = [], pieces = [];
                let last, finish, usage;
                for await (const chunk of await client.models.generateContentStream(geminiParams(q))) {
                        last = chunk;
                        usage = chunk.usageMetadata ?? usage;
                        finish = chunk.candidates?.[0]?.finishReason ?? finish;
                        for (const p of chunk.candidates?.[0]?.content?.parts ?? []) {
                                parts.push(p);
                                if (p.text && !p.thought) {
                                        pieces.push(p.text);
                                        q.onText?.(p.text);
                                }
                        }
                }
                return geminiResult(last, parts, finish, usage, pieces);
        },
        embed: async (client, { model, input, dimensions }) => {
                const contents = Array.isArray(input) ? input.map((text) => ({ parts: [{ text }] })) : input;
                const r = await client.models.embedContent({ model, contents, config: lean({ outputDimensionality: dimensions }) });
                return { vectors: r.embeddings.map((e) => e.values) };
        },
        error: (e) => {
                let body;
                try {
                        body = JSON.parse(e.message);
                } catch {
                        body = undefined;
                }
                return { status: e.status, message: body?.error?.message ?? e.message, type: body?.error?.status };
        },
};

export const adapters = { openai, anthropic, gemini };
