// The same question in every client dialect, and what each makes of the answer.
import assert from 'node:assert/strict';
import { call, errorOf, events } from './suite.mjs';

export const dialects = ['openai', 'anthropic', 'gemini'];
export const clients = [...dialects, 'plain'];
export const upstreamModel = { openai: 'gpt-4o', anthropic: 'claude-sonnet-4-6', gemini: 'gemini-3.5-flash' };
export const nextDialect = (d) => dialects[(dialects.indexOf(d) + 1) % dialects.length];

// s: { url }. more: of call(), { prompt, max } besides.
export const ask = (s, client, model, stream, { prompt = 'Hi', max = 100, ...more } = {}) => {
        const messages = [{ role: 'user', content: prompt }];
        const asks = {
                openai: ['/v1/chat/completions', { model, messages, stream, max_tokens: max }], anthropic: ['/v1/messages', { model, messages, stream, max_tokens: max }],
                gemini: [`/v1beta/models/${model}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
                         { contents: [{ role: 'user', parts: [{ text: prompt }] }], generationConfig: { maxOutputTokens: max } }],
                plain: ['/chat', { model, prompt, stream, max_tokens: max }],
        };
        const [path, body] = asks[client];
        return call(s, path, { body, ...more });
};

export const textOf = {
        openai: (r) => (r.json ? r.json.choices[0].message.content : events(r.text).map((e) => e.json?.choices?.[0]?.delta.content ?? '').join('')),
        anthropic: (r) => (r.json ? r.json.content[0].text : events(r.text).map((e) => e.json?.delta?.text ?? '').join('')),
        gemini: (r) => [r.json ?? events(r.text).map((e) => e.json)].flat().flatMap((c) => c.candidates?.[0]?.content?.parts ?? []).map((p) => p.text ?? '').join(''),
        plain: (r) => r.json?.text ?? events(r.text).filter((e) => e.event === 'text').map((e) => e.json.text).join(''),
};

// Does a stream carry its dialect's sign of a whole answer?
export const ended = {
        openai: (text) => /data: *\[DONE\]/.test(text), anthropic: (text) => /message_stop/.test(text), gemini: (text) => /"finishReason"/.test(text),
        plain: (text) => /event: *done/.test(text),
};

// The error event that a stream ends with.
export const errorIn = {
        openai: (list) => errorOf('openai', list.at(-1).json), anthropic: (list) => (assert.equal(list.at(-1).event, 'error'), errorOf('anthropic', list.at(-1).json)),
        gemini: (list) => errorOf('gemini', list.at(-1).json), plain: (list) => (assert.equal(list.at(-1).event, 'error'), errorOf('plain', list.at(-1).json)),
};

// What a caller is told, by cause: the status, the type of each dialect, openai's code. again: may it be asked again?
export const causes = {
        overloaded: { status: 503, openai: 'overloaded_error', code: 'overloaded', anthropic: 'overloaded_error', gemini: 'UNAVAILABLE', plain: 'overloaded', again: true },
        limit: { status: 429, openai: 'rate_limit_error', code: 'rate_limit_exceeded', anthropic: 'rate_limit_error', gemini: 'RESOURCE_EXHAUSTED', plain: 'rate_limit_exceeded', again: true },
        upstream: { status: 502, openai: 'upstream_error', code: 'upstream_error', anthropic: 'api_error', gemini: 'UNAVAILABLE', plain: 'upstream_error' },
        credentials: { status: 502, openai: 'upstream_error', code: 'upstream_credentials', anthropic: 'api_error', gemini: 'UNAVAILABLE', plain: 'upstream_credentials' },
        timeout: { status: 504, openai: 'timeout_error', code: 'timeout', anthropic: 'timeout_error', gemini: 'DEADLINE_EXCEEDED', plain: 'timeout' },
        context: { status: 400, openai: 'invalid_request_error', code: 'context_length_exceeded', anthropic: 'invalid_request_error', gemini: 'INVALID_ARGUMENT', plain: 'context_length_exceeded' },
        policy: { status: 400, openai: 'invalid_request_error', code: 'content_policy_violation', anthropic: 'invalid_request_error', gemini: 'INVALID_ARGUMENT', plain: 'content_policy_violation' },
        refused: { status: null, openai: 'invalid_request_error' },
};

// The answer tells this cause and no other, as a body or as the stream's last event. status: another one than the cause's own.
export const assertTold = (client, r, cause, { status = causes[cause].status, what = '' } = {}) => {
        const row = causes[cause];
        const inStream = r.status === 200;
        const e = inStream ? errorIn[client](events(r.text)) : errorOf(client, r.json);
        const seen = `${what}: ${r.status} ${r.text.slice(-400)}`;
        if (!inStream) {
                assert.equal(r.status, status, seen);
                assert.equal(r.headers.get('x-should-retry'), row.again ? null : 'false', seen);
        }
        assert.ok(!ended[client](r.text), seen);
        if (row[client])
                assert.equal(e.type ?? e.code, row[client], seen);
        if (client === 'openai' && row.code)
                assert.equal(e.code, row.code, seen);
        return e;
};

export const retryAfter = (r) => {
        const text = r.headers.get('retry-after');
        assert.match(text ?? 'none', /^[1-9][0-9]*$/, `retry-after: ${text}`);
        return Number(text);
};
