// OpenAI Chat Completions and Embeddings: what a request may hold, and how answers look on the wire.
import { randomBytes } from 'node:crypto';
import {
        any, array, base64, boolean, byType, fail, imageBytes, integer, jsonSchema, literal, map, nullable, number, object, string, tagged, walkSchema,
} from './schema.mjs';

/* ---------------------------------------------------------------- what models take */

export const modelRules = (model) => {
        const name = model.replace(/-\d{4}-\d{2}-\d{2}$/, '');
        const gpt = /^gpt-(\d+)(?:\.(\d+))?/.exec(name);
        const major = gpt ? Number(gpt[1]) : 0, minor = gpt ? Number(gpt[2] ?? 0) : 0;
        const reasoning = /^o\d/.test(name) || (major >= 5 && !/^gpt-5-chat/.test(name));
        const rules = { reasoning, efforts: null, samplingWithNone: false, toolsNeedNone: false, stop: true };
        if (!reasoning)
                return rules;
        const upTo = (first, last) => {
                const all = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'];
                return all.slice(all.indexOf(first), all.indexOf(last) + 1);
        };
        rules.stop = !/^(o3|o4-mini)/.test(name);
        if (/^o\d/.test(name))
                rules.efforts = upTo('low', 'high');
        else if (major === 5 && minor === 0)
                rules.efforts = upTo('minimal', 'high');
        else if (major === 5 && minor === 1)
                rules.efforts = upTo('none', 'high').filter((e) => e !== 'minimal');
        else if (major === 5 && minor <= 5)
                rules.efforts = upTo('none', 'xhigh').filter((e) => e !== 'minimal');
        else if (major === 5)
                rules.efforts = upTo('none', 'max').filter((e) => e !== 'minimal');
        else if (/^gpt-6-astra|^gpt-6\.1-sol/.test(name))
                rules.efforts = upTo('low', 'max');
        else
                rules.efforts = upTo('none', 'max').filter((e) => e !== 'minimal');
        if (/-pro$/.test(name))
                rules.efforts = upTo('medium', 'xhigh');
        rules.samplingWithNone = (major === 5 && minor >= 1) || /^gpt-6-(sol|luna)|^gpt-6\.1-terra/.test(name);
        rules.toolsNeedNone = major === 5 && minor === 6;
        return rules;
};

/* ---------------------------------------------------------------- requests */

const mark = { prompt_cache_breakpoint: object({ 'mode!': literal('explicit'), ttl: literal('30m', '12h') }) };
const textPart = object({ 'type!': literal('text'), 'text!': string(), ...mark });
const url = (v, path, out) => {
        string({ min: 1 })(v, path, out);
        if (typeof v !== 'string')
                return;
        const data = /^data:([^;,]+);base64,(.*)$/s.exec(v);
        if (data) {
                base64(data[2], path, out);
                imageBytes(data[1], data[2], path, out);
        } else if (!/^https?:\/\//.test(v))
                fail(out, path, 'Invalid image URL');
};
const userPart = tagged('type', {
        text: textPart,
        image_url: object({ 'type!': any, 'image_url!': object({ 'url!': url, detail: literal('auto', 'low', 'high', 'original') }), ...mark }),
        input_audio: object({ 'type!': any, 'input_audio!': object({ 'data!': base64, 'format!': literal('wav', 'mp3') }), ...mark }),
        file: object({
                'type!': any, ...mark,
                'file!': object({ file_data: string({ pattern: /^data:[^;,]+;base64,/ }), file_id: string({ min: 1 }), filename: string() }),
        }),
});
const name = string({ pattern: /^[^\s<|\\/>]{1,64}$/ });
const texts = byType({ string: string(), array: array(textPart, { min: 1 }) });
const toolName = string({ pattern: /^[A-Za-z0-9_-]{1,64}$/ });
const call = tagged('type', {
        function: object({ 'id!': string({ min: 1 }), 'type!': any, 'function!': object({ 'name!': toolName, 'arguments!': string() }) }),
        custom: object({ 'id!': string({ min: 1 }), 'type!': any, 'custom!': object({ 'name!': toolName, 'input!': string() }) }),
});
const message = tagged('role', {
        developer: object({ 'role!': any, 'content!': texts, name }),
        system: object({ 'role!': any, 'content!': texts, name }),
        user: object({ 'role!': any, 'content!': byType({ string: string(), array: array(userPart, { min: 1 }) }), name }),
        assistant: object({
                'role!': any, name, refusal: nullable(string()), audio: nullable(object({ 'id!': string() })),
                tool_calls: array(call, { min: 1 }), annotations: any,
                content: byType({
                        null: any, string: string(),
                        array: array(tagged('type', { text: textPart, refusal: object({ 'type!': any, 'refusal!': string() }) }), { min: 1 }),
                }),
        }, {
                check: (v, path, out) => {
                        if ((v.content === undefined || v.content === null) && !v.tool_calls && !v.audio && !v.refusal)
                                fail(out, `${path}.content`, "Invalid value for 'content': expected a string, got null.");
                },
        }),
        tool: object({ 'role!': any, 'tool_call_id!': string({ min: 1 }), 'content!': texts }),
});
const tool = tagged('type', {
        function: object({
                'type!': any,
                'function!': object({ 'name!': toolName, description: string({ max: 8192 }), parameters: jsonSchema, strict: nullable(boolean) }),
        }),
        custom: object({ 'type!': any, 'custom!': object({ 'name!': toolName, description: string(), format: any }) }),
});
const named = object({ 'type!': literal('function'), 'function!': object({ 'name!': toolName }) });
const toolChoice = byType({
        string: literal('none', 'auto', 'required'),
        object: tagged('type', {
                function: named,
                custom: object({ 'type!': any, 'custom!': object({ 'name!': toolName }) }),
                allowed_tools: object({
                        'type!': any,
                        'allowed_tools!': object({ 'mode!': literal('auto', 'required'), 'tools!': array(named, { min: 1 }) }),
                }),
        }),
});
const chat = object({
        'model!': string({ min: 1 }), 'messages!': array(message, { min: 1 }),
        max_completion_tokens: nullable(integer({ min: 1 })), max_tokens: nullable(integer({ min: 1 })),
        temperature: nullable(number({ min: 0, max: 2 })), top_p: nullable(number({ min: 0, max: 1 })),
        frequency_penalty: nullable(number({ min: -2, max: 2 })), presence_penalty: nullable(number({ min: -2, max: 2 })),
        logit_bias: nullable(map(number({ min: -100, max: 100 }))), logprobs: nullable(boolean), top_logprobs: nullable(integer({ min: 0, max: 20 })),
        n: nullable(integer({ min: 1, max: 128 })), seed: nullable(integer()),
        stop: byType({ null: any, string: string({ min: 1 }), array: array(string({ min: 1 }), { min: 1, max: 4 }) }),
        stream: nullable(boolean), stream_options: nullable(object({ include_usage: boolean, include_obfuscation: boolean })),
        tools: array(tool, { min: 1, max: 128 }), tool_choice: toolChoice, parallel_tool_calls: boolean,
        response_format: tagged('type', {
                text: object({ 'type!': any }), json_object: object({ 'type!': any }),
                json_schema: object({
                        'type!': any,
                        'json_schema!': object({
                                'name!': string({ pattern: /^[A-Za-z0-9_-]{1,64}$/ }), description: string(), schema: jsonSchema, strict: nullable(boolean),
                        }),
                }),
        }),
        reasoning_effort: nullable(literal('none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max')),
        verbosity: nullable(literal('low', 'medium', 'high')), modalities: nullable(array(literal('text', 'audio'))), audio: nullable(any),
        prediction: nullable(any), prompt_cache_key: nullable(string()), prompt_cache_options: any, prompt_cache_retention: nullable(literal('in_memory', '24h')),
        service_tier: nullable(literal('auto', 'default', 'flex', 'scale', 'priority', 'fast')), store: nullable(boolean),
        metadata: nullable(map(string({ max: 512 }))), safety_identifier: string({ max: 128 }), user: string(), moderation: any, web_search_options: any,
        functions: any, function_call: any,
});
const embeddings = object({
        'model!': string({ min: 1 }), dimensions: integer({ min: 1 }), encoding_format: literal('float', 'base64'), user: string(),
        'input!': byType({
                string: string({ min: 1 }),
                array: (v, path, out) => {
                        const numbers = v.every((e) => typeof e === 'number');
                        array(numbers ? integer({ min: 0 }) : byType({ string: string({ min: 1 }), array: array(integer({ min: 0 }), { min: 1 }) }),
                              { min: 1, max: numbers ? 8192 : 2048 })(v, path, out);
                },
        }),
});

// Every call is answered right after its turn, and nothing else is.
const checkCalls = (messages, out) => {
        let open = null;
        messages.forEach((m, i) => {
                if (m.role === 'tool') {
                        if (!open?.delete(m.tool_call_id))
                                fail(out, `messages[${i}].role`, "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.");
                        return;
                }
                if (open?.size)
                        fail(out, `messages[${i}]`, `tool_call_ids did not have response messages: ${[...open].join(', ')}`);
                open = m.role === 'assistant' && m.tool_calls ? new Set(m.tool_calls.map((c) => c.id)) : null;
        });
        if (open?.size)
                fail(out, 'messages', `tool_call_ids did not have response messages: ${[...open].join(', ')}`);
};

const checkStrict = (schema, path, out) => walkSchema(schema, path, (s, p) => {
        if (s.type !== 'object' && !s.properties)
                return;
        if (s.additionalProperties !== false)
                fail(out, p, "'additionalProperties' is required to be supplied and to be false");
        for (const k of Object.keys(s.properties ?? {}))
                if (!s.required?.includes(k))
                        fail(out, p, `'required' is required to be supplied and to include every key in properties. Missing '${k}'.`);
});

const checkModel = (body, out) => {
        const rules = modelRules(String(body.model));
        const refuse = (field, more = '') =>
                body[field] !== undefined && body[field] !== null
                && fail(out, field, `Unsupported parameter: '${field}' is not supported with this model.${more}`);
        if (!rules.reasoning)
                return refuse('reasoning_effort') || refuse('verbosity');
        refuse('max_tokens', " Use 'max_completion_tokens' instead.");
        ['frequency_penalty', 'presence_penalty', 'logit_bias', 'top_logprobs'].forEach((f) => refuse(f));
        if (!(rules.samplingWithNone && body.reasoning_effort === 'none'))
                ['temperature', 'top_p', 'logprobs'].forEach((f) => body[f] !== false && refuse(f));
        if (!rules.stop)
                refuse('stop');
        if (body.reasoning_effort && !rules.efforts.includes(body.reasoning_effort))
                fail(out, 'reasoning_effort', `Unsupported value: '${body.reasoning_effort}' is not supported with this model.`);
        if (rules.toolsNeedNone && body.tools && body.reasoning_effort !== 'none')
                fail(out, 'tools', 'Function tools with reasoning are not supported on chat completions for this model.');
};

const checkChat = (body, out) => {
        chat(body, '', out);
        if (!Array.isArray(body?.messages))
                return;
        checkCalls(body.messages, out);
        checkModel(body, out);
        if (body.stream_options && body.stream !== true)
                fail(out, 'stream_options', "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
        if (body.top_logprobs != null && body.logprobs !== true)
                fail(out, 'top_logprobs', "'top_logprobs' is only allowed when 'logprobs' is enabled.");
        if (body.max_tokens != null && body.max_completion_tokens != null)
                fail(out, 'max_tokens', "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.");
        for (const f of ['tool_choice', 'parallel_tool_calls'])
                if (body[f] !== undefined && !body.tools)
                        fail(out, f, `'${f}' is only allowed when 'tools' are specified.`);
        if (body.tool_choice?.function && !body.tools?.some((t) => t.function?.name === body.tool_choice.function.name))
                fail(out, 'tool_choice', `Tool choice '${body.tool_choice.function.name}' not found in 'tools' parameter.`);
        if (body.response_format?.type === 'json_object' && !/json/i.test(JSON.stringify(body.messages)))
                fail(out, 'messages', "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.");
        if (body.response_format?.json_schema?.strict)
                checkStrict(body.response_format.json_schema.schema, 'response_format.json_schema.schema', out);
        (body.tools ?? []).forEach((t, i) => t.function?.strict && checkStrict(t.function.parameters, `tools[${i}].function.parameters`, out));
};

const checkEmbeddings = (body, out) => {
        embeddings(body, '', out);
        if (body?.dimensions && body.model === 'text-embedding-ada-002')
                fail(out, 'dimensions', 'This model does not support specifying dimensions.');
};

/* ---------------------------------------------------------------- answers */

const finishes = { stop: 'stop', stop_sequence: 'stop', length: 'length', tool: 'tool_calls', filter: 'content_filter' };

const usage = (u) => ({
        prompt_tokens: u.input, completion_tokens: u.output, total_tokens: u.input + u.output,
        prompt_tokens_details: { cached_tokens: u.cached ?? 0, ...(u.cache_write ? { cache_write_tokens: u.cache_write } : {}), audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: u.reasoning ?? 0, audio_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
});

const logprob = (token, top) => {
        const one = (t, p) => ({ token: t, logprob: p, bytes: [...Buffer.from(t)] });
        return { ...one(token, -0.125), top_logprobs: Array.from({ length: top }, (_, i) => one(i ? `${token}${i}` : token, -0.125 - i)) };
};

const parts = (plan) => ({
        text: plan.blocks.filter((b) => b.text !== undefined),
        refusal: plan.blocks.filter((b) => b.refusal !== undefined),
        tools: plan.blocks.filter((b) => b.tool),
});

const choice = (plan, body, index) => {
        const { text, refusal, tools } = parts(plan);
        const content = text.length ? text.map((b) => b.text).join('') : null;
        const message = { role: 'assistant', content, refusal: refusal.length ? refusal.map((b) => b.refusal).join('') : null, annotations: [] };
        if (tools.length)
                message.tool_calls = tools.map(({ tool: t }) => ({
                        id: t.id, type: 'function', function: { name: t.name, arguments: t.arguments },
                }));
        const logprobs = body.logprobs
                ? { content: text.flatMap((b) => b.chunks.map((c) => logprob(c, body.top_logprobs ?? 0))), refusal: null } : null;
        return { index, message, logprobs, finish_reason: finishes[plan.finish] };
};

const reply = (plan, body) => ({
        id: plan.id, object: 'chat.completion', created: plan.created, model: plan.servedModel,
        choices: Array.from({ length: body.n ?? 1 }, (_, i) => choice(plan, body, i)),
        usage: usage(plan.usage), service_tier: 'default', system_fingerprint: null,
});

const deltasOfTools = (tools, interleaved) => {
        const lanes = tools.map(({ tool: t }, index) => [
                { tool_calls: [{ index, id: t.id, type: 'function', function: { name: t.name, arguments: '' } }] },
                ...t.pieces.map((piece) => ({ tool_calls: [{ index, function: { arguments: piece } }] })),
        ]);
        if (!interleaved)
                return lanes.flat();
        const out = [];
        while (lanes.some((l) => l.length))
                for (const lane of lanes)
                        lane.length && out.push(lane.shift());
        return out;
};

// Frames: { bytes, content: does it carry content }.
const frames = (plan, body) => {
        const out = [];
        const wanted = body.stream_options?.include_usage;
        const push = (choices, { content = false, total } = {}) => {
                const chunk = {
                        id: plan.id, object: 'chat.completion.chunk', created: plan.created, model: plan.servedModel, service_tier: 'default',
                        system_fingerprint: null, choices,
                };
                if (wanted)
                        chunk.usage = total ?? null;
                if (body.stream_options?.include_obfuscation !== false)
                        chunk.obfuscation = randomBytes(8).toString('base64url').slice(0, 1 + Math.floor(Math.random() * 10));
                out.push({ bytes: `data: ${JSON.stringify(chunk)}\n\n`, content });
        };
        const { text, refusal, tools } = parts(plan);
        for (let index = 0; index < (body.n ?? 1); index++) {
                const delta = (d, extra = {}, options = {}) => push([{ index, delta: d, logprobs: null, finish_reason: null, ...extra }], options);
                delta({ role: 'assistant', content: tools.length && !text.length ? null : '', refusal: null });
                for (const b of text)
                        for (const c of b.chunks) {
                                const logprobs = body.logprobs ? { content: [logprob(c, body.top_logprobs ?? 0)], refusal: null } : null;
                                delta({ content: c }, { logprobs }, { content: true });
                        }
                for (const b of refusal)
                        for (const c of b.chunks)
                                delta({ refusal: c }, {}, { content: true });
                for (const d of deltasOfTools(tools, plan.interleaved))
                        delta(d, {}, { content: true });
                push([{ index, delta: {}, logprobs: null, finish_reason: finishes[plan.finish] }]);
        }
        if (wanted)
                push([], { total: usage(plan.usage) });
        out.push({ bytes: 'data: [DONE]\n\n', content: false });
        return out;
};

const embedReply = (vectors, body, tokens) => ({
        object: 'list',
        data: vectors.map((v, index) => ({
                object: 'embedding', index,
                embedding: body.encoding_format === 'base64' ? Buffer.from(Float32Array.from(v).buffer).toString('base64') : v,
        })),
        model: body.model, usage: { prompt_tokens: tokens, total_tokens: tokens },
});

const errorTypes = { 401: 'invalid_request_error', 429: 'requests', 500: 'server_error', 503: 'server_error' };
const errorCodes = { 401: 'invalid_api_key', 404: 'model_not_found', 429: 'rate_limit_exceeded' };

export const openai = {
        name: 'openai',
        key: (headers) => /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1],
        authHeaders: ['authorization'],
        headers: ['x-client-request-id'],
        route: (path) => ({ '/v1/chat/completions': { kind: 'chat' }, '/v1/embeddings': { kind: 'embed' } })[path],
        model: (route, body) => body?.model,
        streams: (route, body) => body?.stream === true,
        check: (route, body, context, out) => (route.kind === 'chat' ? checkChat(body, out) : checkEmbeddings(body, out)),
        query: [],
        reply, frames,
        endFrames: 1, /* after what says how it ended */
        pretty: 2,
        id: () => `chatcmpl-${randomBytes(15).toString('base64url').replace(/[_-]/g, 'x').slice(0, 29)}`,
        callId: () => `call_${randomBytes(18).toString('base64url').replace(/[_-]/g, 'x')}`,
        contentType: { json: 'application/json', stream: () => 'text/event-stream; charset=utf-8' },
        answerHeaders: (id) => ({
                'openai-processing-ms': '17', 'openai-version': '2020-10-01', 'openai-organization': 'org-of-the-operator', 'x-request-id': `req_${id}`,
                'x-ratelimit-limit-requests': '500', 'x-ratelimit-remaining-requests': '499', 'x-ratelimit-reset-requests': '120ms',
                'x-ratelimit-limit-tokens': '200000', 'x-ratelimit-remaining-tokens': '199987', 'x-ratelimit-reset-tokens': '3ms',
        }),
        inputs: (route, body) => (Array.isArray(body.input) && typeof body.input[0] !== 'number' ? body.input : [body.input]),
        dimensions: (route, body) => body.dimensions ?? ({ 'text-embedding-3-large': 3072 }[body.model] ?? 1536),
        embedReply: (route, body, vectors, tokens) => embedReply(vectors, body, tokens),
        error: (status, message, { type, code, param = null } = {}) => ({
                error: { message, type: type ?? errorTypes[status] ?? 'invalid_request_error', param, code: code ?? errorCodes[status] ?? null },
        }),
        violation: ({ path, message }) => openai.error(400, message, { param: path, code: /^Unsupported parameter/.test(message) ? 'unsupported_parameter' : null }),
        errorFrame: (message) => `data: ${JSON.stringify(openai.error(500, message))}\n\n`,
        malformedFrame: 'data: {"id":"chatcmpl-broken","choices":[{"index":0,"delta":{"content":"bro\n\n',
        errorIn200: (message) => openai.error(500, message),
        frameChunk: (json) => `data: ${json}\n\n`,
        endOfRecording: 'data: [DONE]\n\n',
};
