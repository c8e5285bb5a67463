// What each fault gets (docs: "What each fault gets"), as data. A row:
//   name
//   script   what the first target does: a script of the fake's, or a function of its dialect
//   at       in place of a script: a base that nobody answers as it should ('refused', 'dns', 'tls')
//   tries    attempts at the first target (a list: any of these)
//   alone    what the caller is told where there is no second target: of `causes` (ask.mjs); a list: any of these
//   ends     'next' (the default: the second target answers), 'given' (told to the caller as it is, whether there is a second target or
//            not), 'broken' (the client has bytes: an error event), 'whole' (it is no fault)
//   spared   the next request does not ask the first target; told: what it says then, alone (the same, where not said)
//   streams  true, false: only so (both)
//   dialects of the first target (all)
//   limits   of `timeouts`, where not the usual ones
//   slow     [least, most] ms that it takes, apart from what a busy machine adds
//   status, words   'given': the status, and what the message holds
const gone = {
        openai: { message: 'The model `gpt-x` does not exist or you do not have access to it.', type: 'invalid_request_error', code: 'model_not_found' },
        anthropic: { message: 'model: claude-x', type: 'not_found_error' },
        gemini: { message: 'models/gemini-x is not found for API version v1beta, or is not supported for generateContent.', type: 'NOT_FOUND' },
};
const info = (reason) => [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason, domain: 'googleapis.com', metadata: { service: 'generativelanguage.googleapis.com' } }];
const usual = { connect: 2.0, first_token: 25.0, idle: 25.0, attempt: 40.0 };
const late = 8000; // longer than any of the short timeouts, and than what a busy machine adds to them

// By the name that a provider's begins with. Only what a row waits for is short: on a busy machine the rest is late by itself.
export const timeouts = { usual, short: { ...usual, first_token: 0.7, attempt: 0.7 }, stall: { ...usual, idle: 0.7 } };

// A time in the way of each provider, in seconds.
export const limitedFor = (dialect, s) => ({
        openai: { status: 429, message: 'Rate limit reached for requests', headers: { 'retry-after-ms': `${s * 1000}`, 'retry-after': `${s}` } },
        anthropic: { status: 429, message: 'This request would exceed your rate limit', headers: { 'retry-after': `${s}` } },
        gemini: { status: 429, message: 'Resource has been exhausted', details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${s}s` }] },
})[dialect];

const server = (status) => ({ name: `${status}`, script: { status }, tries: 2, alone: ({ 503: ['overloaded'], 504: ['timeout', 'upstream'], 529: ['overloaded'] })[status] ?? ['upstream'] });

export const rows = [
        { name: '429 with a time', script: (d) => limitedFor(d, 30), tries: 1, alone: ['overloaded'], retryAfter: [20, 31], spared: true },
        { name: '429 without a time', script: { status: 429, message: 'Too many requests' }, tries: 2, alone: ['overloaded'] },

        ...[500, 502, 503, 504, 529].map(server),
        { name: 'a redirect', script: { status: 307, headers: { location: '/as/elsewhere/v1/chat/completions' } }, tries: 2, alone: ['upstream'] },
        { name: 'connection refused', at: 'refused', tries: 2, alone: ['upstream'] },
        { name: 'reset before any byte', script: { cut: 'connect' }, tries: 2, alone: ['upstream'] },
        { name: 'no such name', at: 'dns', tries: 2, alone: ['upstream'] },
        { name: 'TLS fails', at: 'tls', tries: 2, alone: ['upstream'] },

        { name: '408', script: { status: 408, message: 'Request timed out' }, tries: 1, alone: ['timeout'] },
        { name: 'silence before the headers', script: { wait: late }, tries: 1, alone: ['timeout'], limits: 'short', slow: [650, 1400] },
        { name: 'silence after the headers', script: { mute: late }, tries: 1, alone: ['timeout'], limits: 'short', slow: [650, 1400] },

        {
                name: 'our key is refused', tries: 1, alone: ['credentials'], spared: true,
                script: (d) => ({
                        openai: { status: 401, message: 'Incorrect API key provided.', type: 'invalid_request_error', code: 'invalid_api_key' },
                        anthropic: { status: 401, message: 'invalid x-api-key', type: 'authentication_error' },
                        gemini: { status: 400, message: 'API key not valid. Please pass a valid API key.', details: info('API_KEY_INVALID') },
                })[d],
        },
        {
                name: 'our credit is used up', tries: 1, alone: ['credentials'], spared: true,
                script: (d) => ({
                        openai: { status: 429, message: 'You exceeded your current quota, please check your plan and billing details.', type: 'insufficient_quota', code: 'insufficient_quota' },
                        anthropic: { status: 402, message: 'Your credit balance is too low to access the Anthropic API.', type: 'billing_error' },
                        gemini: { status: 403, message: 'This API method requires billing to be enabled.', type: 'PERMISSION_DENIED', details: info('BILLING_DISABLED') },
                })[d],
        },
        {
                name: 'we are forbidden', tries: 1, alone: ['credentials'], spared: true,
                script: (d) => ({
                        openai: { status: 403, message: 'Country, region, or territory not supported', type: 'request_forbidden', code: 'unsupported_country_region_territory' },
                        anthropic: { status: 403, message: 'Your organization has been disabled.', type: 'permission_error' },
                        gemini: { status: 403, message: 'Generative Language API has not been used in project 1 before or it is disabled.', type: 'PERMISSION_DENIED', details: info('SERVICE_DISABLED') },
                })[d],
        },
        {
                /* Which resource? The caller may have named it. */
                name: 'we are forbidden, perhaps', dialects: ['anthropic'], tries: [1, 2], alone: ['credentials', 'upstream'], spared: false,
                script: { status: 403, message: 'Your API key does not have permission to use the specified resource.', type: 'permission_error' },
        },
        { name: 'a 403 of a proxy in between', script: { status: 403, body: '<html>Forbidden</html>' }, tries: [1, 2], alone: ['credentials', 'upstream'], spared: false },
        { name: '404 of the model', script: (d) => ({ status: 404, ...gone[d] }), tries: 1, alone: ['upstream'], spared: true },
        { name: '410 of the model', script: (d) => ({ status: 410, ...gone[d] }), tries: 1, alone: ['upstream'], spared: true },

        {
                name: 'context too long', tries: 1, alone: ['context'], window: true, words: /maximum|too long/, spared: false,
                script: (d) => ({
                        openai: { status: 400, message: "This model's maximum context length is 8000 tokens.", type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded' },
                        anthropic: { status: 400, message: 'prompt is too long: 8012 tokens > 8000 maximum' },
                        gemini: { status: 400, message: 'The input token count (8012) exceeds the maximum number of tokens allowed (8000).' },
                })[d],
        },
        {
                name: 'content policy', ends: 'given', tries: 1, alone: ['policy'], dialects: ['openai', 'anthropic'], words: /safety|filtering/, spared: false,
                script: (d) => ({
                        openai: { status: 400, message: 'Your request was rejected as a result of our safety system.', type: 'invalid_request_error', code: 'content_policy_violation' },
                        anthropic: { status: 400, message: 'Output blocked by content filtering policy' },
                })[d],
        },
        { name: 'a refusal', ends: 'whole', tries: 1, script: (d) => (d === 'openai' ? { blocks: [{ refusal: 'I will not.' }] } : { text: 'one two three four', finish: 'filter' }), anyText: true },
        ...[400, 413, 422].map((status) => ({ name: `${status}`, ends: 'given', tries: 1, alone: ['refused'], status, words: /too odd/, spared: false, script: { status, message: 'messages are too odd' } })),
        {
                name: '404 of a file', ends: 'given', tries: 1, alone: ['refused'], status: 404, dialects: ['openai', 'anthropic'], words: /file/i, spared: false,
                script: (d) => ({
                        openai: { status: 404, message: 'No such File object: file-abc', type: 'invalid_request_error', param: 'id', code: 'file_not_found' },
                        anthropic: { status: 404, message: 'file_id: file_abc was not found' },
                })[d],
        },

        { name: '200 with an error inside', script: { errorIn200: true }, tries: 2, alone: ['upstream', 'overloaded'] },
        { name: 'no JSON', script: { status: 200, noJson: true }, streams: false, tries: 2, alone: ['upstream'] },
        { name: 'a cut', script: { cut: 0 }, tries: 2, alone: ['upstream'] },
        { name: 'fewer bytes said than there are', script: { length: 'short' }, streams: false, tries: 2, alone: ['upstream'] },
        { name: 'more bytes said than come', script: { length: 'long' }, streams: false, tries: 2, alone: ['upstream'] },
        { name: 'an error event first', script: { errorEvent: 0 }, streams: true, tries: 2, alone: ['upstream', 'overloaded'] },
        { name: 'a malformed event first', script: { malformed: 0 }, streams: true, tries: 2, alone: ['upstream'] },

        { name: 'an error event later', script: { errorEvent: 2 }, streams: true, ends: 'broken', tries: 1, alone: ['upstream', 'overloaded'] },
        { name: 'a malformed event later', script: { malformed: 2 }, streams: true, ends: 'broken', tries: 1, alone: ['upstream'] },
        { name: 'a cut later', script: { cut: 2 }, streams: true, ends: 'broken', tries: 1, alone: ['upstream'] },
        { name: 'a stall later', script: { stall: 2 }, streams: true, ends: 'broken', tries: 1, alone: ['timeout'], limits: 'stall', slow: [650, 1400] },

        { name: 'whole but for its last sign', script: { noEnd: true }, streams: true, ends: 'whole', tries: 1 },
];
for (const row of rows)
        row.ends ??= 'next';
