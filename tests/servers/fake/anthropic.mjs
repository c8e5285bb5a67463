// Anthropic Messages: what a request may hold under each API version, and how answers look on the wire.
import { randomBytes } from 'node:crypto';
import {
        any, array, base64, boolean, byType, fail, imageBytes, integer, jsonSchema, literal, nullable, number, object, string, tagged, walkSchema,
} from './schema.mjs';

/* ---------------------------------------------------------------- what models take */

const table = [
        // model, sampling, thinking types, forced tools, prefill, efforts, largest output, mid-conversation system
        [/^claude-(opus|sonnet|haiku)-4-5/, true, ['enabled', 'disabled'], true, true, ['low', 'medium', 'high'], 64000, false],
        [/^claude-opus-4-6/, true, ['enabled', 'adaptive', 'disabled'], true, false, ['low', 'medium', 'high', 'max'], 128000, false],
        [/^claude-sonnet-4-6/, true, ['enabled', 'adaptive', 'disabled'], true, true, ['low', 'medium', 'high', 'max'], 128000, false],
        [/^claude-opus-4-7/, false, ['adaptive', 'disabled'], true, false, ['low', 'medium', 'high', 'xhigh', 'max'], 128000, false],
        [/^claude-opus-4-8/, false, ['adaptive', 'disabled'], true, false, ['low', 'medium', 'high', 'xhigh', 'max'], 128000, true],
        [/^claude-(opus|sonnet)-5-5/, false, ['adaptive'], false, false, ['low', 'medium', 'high', 'xhigh', 'max'], 128000, true],
        [/^claude-(fable|mythos)-5-[12]/, false, ['adaptive'], false, false, ['low', 'medium', 'high', 'xhigh', 'max'], 128000, true],
        [/^claude-(fable|mythos)-5/, false, ['adaptive'], true, false, ['low', 'medium', 'high', 'xhigh', 'max'], 128000, true],
        [/^claude-(sonnet|opus|haiku)-5/, false, ['adaptive', 'disabled'], true, false, ['low', 'medium', 'high', 'xhigh', 'max'], 128000, true],
];

export const modelRules = (model) => {
        const row = table.find(([pattern]) => pattern.test(model));
        if (!row)
                return null;
        const [, sampling, thinking, forced, prefill, efforts, maxOutput, midSystem] = row;
        const rules = { sampling, thinking: [...thinking], forced, prefill, efforts, maxOutput, midSystem };
        if (/^claude-sonnet-5-5/.test(model))
                rules.thinking.push('between_tools');
        if (/^claude-(sonnet|haiku)-4-5/.test(model))
                rules.efforts = [];
        rules.offNeedsLowEffort = /^claude-(opus-5|haiku-5-5)(?!-5)/.test(model);
        return rules;
};

/* ---------------------------------------------------------------- requests */

/* Preserved thinking: what a client may ask where a thought no longer stands behind the same words. */
const binding = { block_binding: object({ 'prefix_mismatch_behavior!': literal('error', 'drop_block') }) };
const bindingBeta = 'thinking-binding-controls-2026-08-01';
const cache = { cache_control: nullable(object({ 'type!': literal('ephemeral'), ttl: literal('5m', '1h') })) };
const mediaTypes = ['image/jpeg', 'image/png', 'image/gif', 'image/webp'];
const image = object({
        'type!': any, ...cache, transformations: any,
        'source!': tagged('type', {
                base64: object({ 'type!': any, 'media_type!': literal(...mediaTypes), 'data!': base64 }, {
                        check: (v, path, out) => imageBytes(v.media_type, v.data, path, out),
                }),
                url: object({ 'type!': any, 'url!': string({ pattern: /^https?:\/\// }) }),
                file: object({ 'type!': any, 'file_id!': string({ min: 1 }) }),
        }),
});
const text = object({
        'type!': any, ...cache, citations: nullable(array(any)),
        'text!': string({ min: 1, pattern: /\S/ }),
});
const document = object({
        'type!': any, ...cache, title: nullable(string()), context: nullable(string()), citations: nullable(object({ enabled: boolean })),
        'source!': tagged('type', {
                base64: object({ 'type!': any, 'media_type!': literal('application/pdf'), 'data!': base64 }),
                text: object({ 'type!': any, 'media_type!': literal('text/plain'), 'data!': string() }),
                content: object({ 'type!': any, 'content!': any }),
                url: object({ 'type!': any, 'url!': string() }),
                file: object({ 'type!': any, 'file_id!': string({ min: 1 }) }),
        }),
});
const searchResult = object({ 'type!': any, ...cache, 'source!': string(), 'title!': string(), 'content!': array(text), citations: any });
const toolId = string({ pattern: /^[a-zA-Z0-9_-]+$/ });
const toolName = string({ pattern: /^[a-zA-Z0-9_-]{1,128}$/ });
const resultBlock = tagged('type', { text, image, document, search_result: searchResult, tool_reference: any, browser_state: any });
const toolResult = object({
        'type!': any, ...cache, 'tool_use_id!': toolId, is_error: boolean, toolset_name: any,
        content: byType({ string: string(), array: array(resultBlock) }),
});
const userBlock = tagged('type', { text, image, document, search_result: searchResult, tool_result: toolResult, container_upload: any });
const assistantBlock = (version) => tagged('type', {
        text,
        thinking: object({ 'type!': any, 'thinking!': string(), 'signature!': string({ min: 1 }) }),
        redacted_thinking: object({ 'type!': any, 'data!': string({ min: 1 }) }),
        tool_use: object({ 'type!': any, ...cache, 'id!': toolId, 'name!': toolName, 'input!': object({}, { open: true }), caller: any, toolset_name: any }),
        server_tool_use: object({ 'type!': any, ...cache, 'id!': string(), 'name!': string(), 'input!': any, caller: any }),
        web_search_tool_result: any, web_fetch_tool_result: any, code_execution_tool_result: any, bash_code_execution_tool_result: any,
        text_editor_code_execution_tool_result: any, tool_search_tool_result: any, search_result: searchResult,
        ...(version === '2023-06-01' ? { document } : {}),
});
const message = (version) => tagged('role', {
        user: object({ 'role!': any, 'content!': byType({ string: string({ min: 1, pattern: /\S/ }), array: array(userBlock, { min: 1 }) }) }),
        assistant: object({ 'role!': any, 'content!': byType({ string: string({ min: 1, pattern: /\S/ }), array: array(assistantBlock(version), { min: 1 }) }) }),
        system: object({ 'role!': any, 'content!': byType({ string: string({ min: 1 }), array: array(tagged('type', { text }), { min: 1 }) }) }),
});
const hosted = /^(bash|text_editor|memory|code_execution|web_search|web_fetch|tool_search_tool|computer_toolset|browser_toolset)/;
const customTool = object({
        'name!': toolName, description: string(), 'input_schema!': jsonSchema, type: nullable(literal('custom')), strict: boolean, ...cache,
        defer_loading: boolean, eager_input_streaming: nullable(boolean), input_examples: array(any), allowed_callers: array(string()),
}, {
        check: (v, path, out) => v.input_schema?.type !== 'object' && fail(out, `${path}.input_schema.type`, "Input should be 'object'"),
});
const tool = (v, path, out) => (hosted.test(v?.type ?? '') ? undefined : customTool(v, path, out));
const display = { display: nullable(literal('summarized', 'omitted')) };
const fields = (version) => ({
        'model!': string({ min: 1 }), 'max_tokens!': integer({ min: 0 }), 'messages!': array(message(version), { min: 1, max: 100000 }),
        system: byType({ string: string({ min: 1 }), array: array(tagged('type', { text }), { min: 1 }) }),
        stream: boolean, stop_sequences: array(string({ min: 1, pattern: /\S/ })), tools: array(tool),
        tool_choice: tagged('type', {
                auto: object({ 'type!': any, disable_parallel_tool_use: boolean }), any: object({ 'type!': any, disable_parallel_tool_use: boolean }),
                tool: object({ 'type!': any, 'name!': toolName, disable_parallel_tool_use: boolean }), none: object({ 'type!': any }),
        }),
        thinking: tagged('type', {
                enabled: object({ 'type!': any, 'budget_tokens!': integer({ min: 1024 }), ...display }), adaptive: object({ 'type!': any, ...display, ...binding }),
                disabled: object({ 'type!': any }), between_tools: object({ 'type!': any }),
        }),
        output_config: object({
                effort: nullable(literal('low', 'medium', 'high', 'xhigh', 'max')),
                format: nullable(object({ 'type!': literal('json_schema'), 'schema!': jsonSchema })),
        }),
        metadata: object({ user_id: nullable(string({ max: 256 })) }), service_tier: literal('auto', 'standard_only'),
        speed: nullable(literal('standard', 'fast')), inference_geo: nullable(string()), ...cache, container: any, diagnostics: any,
        ...(version === '2023-06-01' ? { temperature: number({ min: 0, max: 1 }), top_p: number({ min: 0, max: 1 }), top_k: integer({ min: 0 }) } : {}),
});
const versions = { '2023-06-01': object(fields('2023-06-01')), '2026-10-21': object(fields('2026-10-21')) };

const blocksOf = (m) => (Array.isArray(m?.content) ? m.content : [{ type: 'text', text: m?.content }]);
const only = (m, type) => blocksOf(m).filter((b) => b.type === type);

// Consecutive turns of one role count as one.
const merged = (messages) => {
        const out = [];
        messages.forEach((m, i) => {
                const last = out.at(-1);
                if (last && last.role === m.role)
                        last.content.push(...blocksOf(m));
                else
                        out.push({ role: m.role, content: [...blocksOf(m)], index: i });
        });
        return out;
};

const checkTools = (messages, out) => {
        const turns = merged(messages.filter((m) => m.role !== 'system'));
        turns.forEach((m, i) => {
                const path = `messages[${m.index}]`;
                const wanted = only(turns[i - 1], 'tool_use').map((b) => b.id);
                const given = only(m, 'tool_result').map((b) => b.tool_use_id);
                for (const id of given.filter((e) => !wanted.includes(e)))
                        fail(out, path, `unexpected tool_use_id found in tool_result blocks: ${id}`);
                const missing = wanted.filter((e) => !given.includes(e));
                if (missing.length)
                        fail(out, path, `tool_use ids were found without tool_result blocks immediately after: ${missing.join(', ')}`);
                if (new Set(given).size !== given.length)
                        fail(out, path, 'each tool_use must have a single result');
                const first = m.content.findIndex((b) => b.type !== 'tool_result');
                if (given.length && first >= 0 && m.content.slice(first).some((b) => b.type === 'tool_result'))
                        fail(out, path, 'tool_result blocks must come first');
        });
        if (only(turns.at(-1), 'tool_use').length && turns.at(-1).role === 'assistant')
                fail(out, 'messages', 'tool_use ids were found without tool_result blocks immediately after');
};

// Thoughts come back as they were given: text and signature together.
const checkThoughts = (body, context, out) => {
        body.messages.forEach((m, i) => blocksOf(m).forEach((b, k) => {
                const path = `messages[${i}].content[${k}]`;
                if (b.type === 'thinking') {
                        const issued = context.issued.get(b.signature);
                        if (issued?.provider !== 'anthropic')
                                fail(out, `${path}.signature`, 'Invalid `signature` in `thinking` block');
                        else if (issued.text !== b.thinking)
                                fail(out, path, '`thinking` blocks in the latest assistant message cannot be modified');
                }
                if (b.type === 'redacted_thinking' && context.issued.get(b.data)?.provider !== 'anthropic')
                        fail(out, `${path}.data`, 'Invalid `data` in `redacted_thinking` block');
        }));
        if (body.thinking?.type !== 'enabled')
                return;
        const start = body.messages.findLastIndex((m) => m.role === 'user' && blocksOf(m).some((b) => b.type !== 'tool_result'));
        const turns = merged(body.messages);
        turns.filter((m) => m.role === 'assistant' && m.index > start && only(m, 'tool_use').length).forEach((m) => {
                if (!['thinking', 'redacted_thinking'].includes(m.content[0].type))
                        fail(out, `messages[${m.index}].content[0].type`, 'Expected `thinking` or `redacted_thinking`, but found `tool_use`.');
        });
};

const checkModel = (body, context, out) => {
        const rules = modelRules(String(body.model));
        if (!rules)
                return;
        const forced = ['any', 'tool'].includes(body.tool_choice?.type);
        if (!rules.sampling)
                for (const f of ['temperature', 'top_p', 'top_k'])
                        if (body[f] !== undefined)
                                fail(out, f, `\`${f}\` is not supported for this model`);
        if (body.thinking && !rules.thinking.includes(body.thinking.type))
                fail(out, 'thinking.type', `"thinking.type.${body.thinking.type}" is not supported for this model.`);
        if (body.thinking?.block_binding && context.headers['anthropic-beta'] !== bindingBeta)
                fail(out, 'thinking.block_binding', 'Extra inputs are not permitted');
        if (rules.offNeedsLowEffort && body.thinking?.type === 'disabled' && ['xhigh', 'max'].includes(body.output_config?.effort))
                fail(out, 'thinking.type', 'thinking cannot be disabled at this effort');
        if (forced && !rules.forced)
                fail(out, 'tool_choice', 'forced tool use is not supported for this model');
        if (forced && body.thinking?.type === 'enabled')
                fail(out, 'tool_choice', 'Thinking may not be enabled when tool_choice forces tool use.');
        if (body.output_config?.effort && !rules.efforts.includes(body.output_config.effort))
                fail(out, 'output_config.effort', `This model does not support effort level '${body.output_config.effort}'.`);
        if (body.max_tokens > rules.maxOutput)
                fail(out, 'max_tokens', `${body.max_tokens} > ${rules.maxOutput}, which is the maximum allowed number of output tokens`);
        if (body.messages.at(-1)?.role === 'assistant' && !rules.prefill)
                fail(out, 'messages', 'This model does not support assistant message prefill.');
        if (!rules.midSystem && body.messages.some((m) => m.role === 'system'))
                fail(out, 'messages', "role 'system' is not supported for this model");
};

const checkRest = (body, out) => {
        const lastText = blocksOf(body.messages.at(-1)).at(-1);
        if (body.messages[0]?.role !== 'user')
                fail(out, 'messages[0].role', 'first message must use the "user" role');
        if (body.messages.at(-1)?.role === 'assistant' && lastText?.type === 'text' && /\s$/.test(lastText.text))
                fail(out, 'messages', 'final assistant content cannot end with trailing whitespace');
        if (body.thinking?.type === 'enabled') {
                if (body.thinking.budget_tokens >= body.max_tokens)
                        fail(out, 'thinking.budget_tokens', '`max_tokens` must be greater than `thinking.budget_tokens`');
                if (body.temperature !== undefined && body.temperature !== 1)
                        fail(out, 'temperature', '`temperature` may only be set to 1 when thinking is enabled');
                if (body.top_k !== undefined)
                        fail(out, 'top_k', '`top_k` must be unset when thinking is enabled');
        }
        const names = (body.tools ?? []).map((t) => t.name).filter(Boolean);
        if (new Set(names).size !== names.length)
                fail(out, 'tools', 'Tool names must be unique.');
        if (body.tool_choice && body.tool_choice.type !== 'none' && !body.tools?.length)
                fail(out, 'tool_choice', 'tool_choice may only be specified while providing tools.');
        if (body.tool_choice?.name && !names.includes(body.tool_choice.name))
                fail(out, 'tool_choice', `Tool '${body.tool_choice.name}' not found in provided tools`);
        if (names.length === 0 && body.messages.some((m) => only(m, 'tool_use').length))
                fail(out, 'tools', 'Requests which include `tool_use` or `tool_result` blocks must define tools');
        if ((JSON.stringify(body).match(/"cache_control":\{/g) ?? []).length > 4)
                fail(out, 'cache_control', 'A maximum of 4 blocks with cache_control may be provided.');
        walkSchema(body.output_config?.format?.schema, 'output_config.format.schema', (s, p) => {
                if (s.type === 'object' && s.additionalProperties !== false)
                        fail(out, p, "For 'object' type, 'additionalProperties' must be explicitly set to false");
                for (const k of ['minimum', 'maximum', 'multipleOf', 'minLength', 'maxLength', 'maxItems'])
                        if (s[k] !== undefined)
                                fail(out, p, `property '${k}' is not supported`);
        });
};

const check = (route, body, context, out) => {
        const version = context.headers['anthropic-version'];
        if (!versions[version])
                return fail(out, 'anthropic-version', version ? `'${version}' is not a valid version` : 'header is required');
        versions[version](body, '', out);
        if (!Array.isArray(body?.messages) || body.messages.some((m) => !m || typeof m !== 'object'))
                return;
        checkTools(body.messages, out);
        checkThoughts(body, context, out);
        checkModel(body, context, out);
        checkRest(body, out);
        if (version === '2026-10-21')
                body.messages.forEach((m, i) => m.role === 'user' && only(m, 'text').forEach((b) => b.citations?.length
                        && fail(out, `messages[${i}]`, 'citations: Extra inputs are not permitted')));
};

/* ---------------------------------------------------------------- answers */

const finishes = { stop: 'end_turn', stop_sequence: 'stop_sequence', length: 'max_tokens', tool: 'tool_use', filter: 'refusal' };

const usage = (u, output) => ({
        input_tokens: u.input - (u.cached ?? 0) - (u.cache_write ?? 0), cache_creation_input_tokens: u.cache_write ?? 0,
        cache_read_input_tokens: u.cached ?? 0,
        cache_creation: { ephemeral_5m_input_tokens: u.cache_write ?? 0, ephemeral_1h_input_tokens: 0 },
        output_tokens: output, ...(u.reasoning ? { output_tokens_details: { thinking_tokens: u.reasoning } } : {}),
});

const block = (b) => {
        if (b.redacted)
                return { type: 'redacted_thinking', data: b.signature };
        if (b.thinking !== undefined)
                return { type: 'thinking', thinking: b.thinking, signature: b.signature ?? '' };
        if (b.tool)
                return { type: 'tool_use', id: b.tool.id, name: b.tool.name, input: JSON.parse(b.tool.arguments || '{}'), caller: { type: 'direct' } };
        return { type: 'text', text: b.text, ...(b.citations ? { citations: b.citations } : {}) };
};

const stopDetails = (plan) => {
        const refusal = plan.blocks.find((b) => b.refusal !== undefined);
        return plan.finish === 'filter' ? { type: 'refusal', category: 'cyber', explanation: refusal?.refusal ?? null } : null;
};

const envelope = (plan, content, done) => ({
        model: plan.servedModel, id: plan.id, type: 'message', role: 'assistant', content, stop_reason: done ? finishes[plan.finish] : null,
        stop_sequence: done && plan.finish === 'stop_sequence' ? plan.stopSequence : null, stop_details: done ? stopDetails(plan) : null,
        usage: { ...usage(plan.usage, done ? plan.usage.output : 1), service_tier: 'standard', inference_geo: 'not_available' },
});

const spoken = (plan) => plan.blocks.filter((b) => b.refusal === undefined);
const reply = (plan) => envelope(plan, spoken(plan).map(block), true);

const deltas = (b) => {
        if (b.redacted)
                return [];
        if (b.thinking !== undefined)
                return [...b.chunks.map((c) => ({ type: 'thinking_delta', thinking: c })), { type: 'signature_delta', signature: b.signature }];
        if (b.tool)
                return ['', ...b.tool.pieces].map((c) => ({ type: 'input_json_delta', partial_json: c }));
        return [...b.chunks.map((c) => ({ type: 'text_delta', text: c })), ...(b.citations ?? []).map((citation) => ({ type: 'citations_delta', citation }))];
};

const start = (b) => {
        if (b.redacted)
                return block(b);
        if (b.thinking !== undefined)
                return { type: 'thinking', thinking: '', signature: '' };
        if (b.tool)
                return { type: 'tool_use', id: b.tool.id, name: b.tool.name, input: {}, caller: { type: 'direct' } };
        return { type: 'text', text: '', ...(b.citations ? { citations: [] } : {}) };
};

// Data lines are padded before their last brace, as the provider's are.
const event = (data, content = false) => {
        const json = JSON.stringify(data);
        const padded = `${json.slice(0, -1)}${' '.repeat(json.length % 13)}}`;
        return { bytes: `event: ${data.type}\ndata: ${padded}\n\n`, content };
};
const ping = { bytes: 'event: ping\ndata: {"type": "ping"}\n\n', content: false };

const frames = (plan) => {
        const out = [event({ type: 'message_start', message: envelope(plan, [], false) })];
        spoken(plan).forEach((b, index) => {
                out.push(event({ type: 'content_block_start', index, content_block: start(b) }));
                if (index === 0)
                        out.push(ping);
                for (const delta of deltas(b))
                        out.push(event({ type: 'content_block_delta', index, delta }, true));
                out.push(event({ type: 'content_block_stop', index }));
        });
        const { cache_creation, ...total } = usage(plan.usage, plan.usage.output);
        out.push(event({
                type: 'message_delta', usage: total,
                delta: {
                        stop_reason: finishes[plan.finish], stop_sequence: plan.finish === 'stop_sequence' ? plan.stopSequence : null,
                        stop_details: stopDetails(plan),
                },
        }));
        out.push(event({ type: 'message_stop' }));
        return out;
};

const errorTypes = {
        400: 'invalid_request_error', 401: 'authentication_error', 402: 'billing_error', 403: 'permission_error', 404: 'not_found_error', 422: 'invalid_request_error',
        413: 'request_too_large', 429: 'rate_limit_error', 500: 'api_error', 504: 'timeout_error', 529: 'overloaded_error',
};
const requestId = () => `req_011${randomBytes(15).toString('base64url').replace(/[_-]/g, 'x')}`;

export const anthropic = {
        name: 'anthropic',
        key: (headers) => headers['x-api-key'] ?? /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1],
        authHeaders: ['x-api-key', 'authorization'],
        headers: ['anthropic-version'],
        /* The one beta that Tollgate asks for by itself; a caller's never gets here. */
        ownHeader: (name, value, record) => name === 'anthropic-beta' && value === bindingBeta && String(record.raw).includes('"block_binding"'),
        query: [],
        route: (path) => (path === '/v1/messages' ? { kind: 'chat' } : undefined),
        model: (route, body) => body?.model,
        streams: (route, body) => body?.stream === true,
        check, reply, frames,
        endFrames: 1, /* after what says how it ended */
        pretty: 0,
        id: () => `msg_01${randomBytes(18).toString('base64url').replace(/[_-]/g, 'x').slice(0, 22)}`,
        callId: () => `toolu_01${randomBytes(18).toString('base64url').replace(/[_-]/g, 'x').slice(0, 22)}`,
        contentType: { json: 'application/json', stream: () => 'text/event-stream; charset=utf-8' },
        answerHeaders: () => ({
                'request-id': requestId(), 'anthropic-organization-id': 'org-of-the-operator', 'anthropic-ratelimit-requests-limit': '4000',
                'anthropic-ratelimit-requests-remaining': '3999', 'anthropic-ratelimit-requests-reset': '2026-11-22T19:29:32Z',
        }),
        error: (status, message, { type } = {}) => ({
                type: 'error', error: { type: type ?? errorTypes[status] ?? 'api_error', message }, request_id: requestId(),
        }),
        violation: ({ path, message }) => anthropic.error(400, `${path}: ${message}`),
        errorFrame: (message) => event({ type: 'error', error: { type: 'overloaded_error', message } }).bytes,
        malformedFrame: 'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_de\n\n',
        errorIn200: (message) => anthropic.error(529, message),
        frameChunk: (json) => event(JSON.parse(json)).bytes,
        endOfRecording: '',
};
