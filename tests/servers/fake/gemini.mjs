// Gemini generateContent and embeddings: what a request may hold, and how answers look on the wire.
import { randomBytes } from 'node:crypto';
import {
        any, array, base64, boolean, byType, fail, imageBytes, integer, jsonSchema, literal, nullable, number, object as plainObject, string, walkSchema,
} from './schema.mjs';

const object = (fields, options = {}) => plainObject(fields, { camel: true, ...options });
const sentinel = 'skip_thought_signature_validator';

/* ---------------------------------------------------------------- what models take */

export const modelRules = (model) => {
        const m = /^gemini-(\d+)(?:\.(\d+))?/.exec(model);
        if (!m)
                return null;
        const major = Number(m[1]), minor = Number(m[2] ?? 0);
        const rules = { signed: major >= 3, levels: null, budget: true, resultParts: major >= 3 };
        if (major < 3)
                return rules;
        rules.levels = ['minimal', 'low', 'medium', 'high'];
        if (/pro/.test(model) || (major === 3 && minor >= 7) || major >= 4)
                rules.levels.shift();
        if (/^gemini-4-hydrogen/.test(model))
                rules.levels.push('xhigh');
        rules.budget = !/^gemini-4/.test(model);
        return rules;
};

/* ---------------------------------------------------------------- requests */

const blob = object({ 'mimeType!': string({ pattern: /^[\w.+-]+\/[\w.+-]+$/ }), 'data!': base64, displayName: string() }, {
        check: (v, path, out) => {
                const type = v.mimeType ?? v.mime_type;
                if (/^image\/(png|jpeg|gif|webp)$/.test(type))
                        imageBytes(type, v.data, path, out);
        },
});
// Files of the Files API and videos only: web addresses are not fetched.
const file = object({
        mimeType: string(), displayName: string(),
        'fileUri!': string({ pattern: /^https:\/\/(generativelanguage\.googleapis\.com\/|www\.youtube\.com\/|youtu\.be\/)/ }),
});
const functionName = string({ pattern: /^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$/ });
const payloads = ['text', 'inlineData', 'fileData', 'functionCall', 'functionResponse', 'executableCode', 'codeExecutionResult', 'toolCall', 'toolResponse'];
const camel = (k) => k.replace(/_([a-z])/g, (_, c) => c.toUpperCase());
const part = object({
        text: string(), inlineData: blob, fileData: file,
        functionCall: object({ id: string(), 'name!': functionName, args: plainObject({}, { open: true }) }),
        functionResponse: object({
                id: string(), 'name!': functionName, 'response!': plainObject({}, { open: true }), parts: array(object({ inlineData: blob, fileData: file })),
                scheduling: string(), willContinue: boolean,
        }),
        executableCode: any, codeExecutionResult: any, toolCall: any, toolResponse: any,
        thought: boolean, thoughtSignature: string({ min: 1 }), videoMetadata: any, mediaResolution: object({ level: string() }), partMetadata: any,
}, {
        check: (v, path, out) => {
                const count = Object.keys(v).filter((k) => payloads.includes(camel(k))).length;
                if (count !== 1)
                        fail(out, path, count ? 'oneof field \'data\' is already set' : 'required oneof field \'data\' must have one initialized field');
        },
});
const content = object({ role: literal('user', 'model'), 'parts!': array(part, { min: 1 }) });
const schemaTypes = ['STRING', 'NUMBER', 'INTEGER', 'BOOLEAN', 'ARRAY', 'OBJECT', 'NULL'];
const int64 = byType({ string: string({ pattern: /^-?\d+$/ }), number: integer() });
const openApiSchema = (v, path, out) => object({
        type: (t, p, o) => (schemaTypes.includes(String(t).toUpperCase()) ? undefined : fail(o, p, `Invalid value: ${JSON.stringify(t)}`)),
        anyOf: array(openApiSchema), default: any, description: string(), enum: array(string()), example: any, format: string(), items: openApiSchema,
        minItems: int64, maxItems: int64, minLength: int64, maxLength: int64, minProperties: int64, maxProperties: int64, minimum: number(),
        maximum: number(), nullable: boolean, pattern: string(), title: string(), propertyOrdering: array(string()), required: array(string()),
        properties: (p, at, o) => Object.entries(p ?? {}).forEach(([k, e]) => openApiSchema(e, `${at}.${k}`, o)),
})(v, path, out);
const schemaWords = [
        '$id', '$defs', '$ref', '$anchor', 'type', 'format', 'title', 'description', 'enum', 'items', 'prefixItems', 'minItems', 'maxItems', 'minimum', 'maximum',
        'anyOf', 'oneOf', 'properties', 'additionalProperties', 'required', 'propertyOrdering',
];
const jsonSchemaSubset = (v, path, out) => {
        jsonSchema(v, path, out);
        walkSchema(v, path, (s, p) => {
                for (const k of Object.keys(s))
                        if (!schemaWords.includes(k))
                                fail(out, `${p}.${k}`, 'is not supported in a JSON schema here');
                if (s.$ref && Object.keys(s).some((k) => !k.startsWith('$')))
                        fail(out, p, 'a schema with $ref may have no other members');
        });
};
const declaration = object({
        'name!': functionName, description: string(), parameters: openApiSchema, parametersJsonSchema: jsonSchema, response: openApiSchema,
        responseJsonSchema: jsonSchema, behavior: string(),
}, {
        check: (v, path, out) => {
                const schema = v.parameters ?? v.parametersJsonSchema ?? v.parameters_json_schema;
                if (v.parameters && (v.parametersJsonSchema ?? v.parameters_json_schema))
                        fail(out, path, 'only one of parameters and parametersJsonSchema may be set');
                if (schema && !Object.keys(schema.properties ?? {}).length && /^object$/i.test(schema.type ?? '') && !schema.$ref)
                        fail(out, `${path}.parameters`, 'should be non-empty for OBJECT type');
        },
});
const thinking = object({
        includeThoughts: boolean, thinkingBudget: integer({ min: -1 }),
        thinkingLevel: (v, p, o) => literal('minimal', 'low', 'medium', 'high', 'xhigh')(String(v).toLowerCase(), p, o),
});
const generation = object({
        temperature: number({ min: 0, max: 2 }), topP: number({ min: 0, max: 1 }), topK: number({ min: 1 }), candidateCount: integer({ min: 1, max: 8 }),
        maxOutputTokens: integer({ min: 1 }), stopSequences: array(string({ min: 1 }), { max: 5 }),
        responseMimeType: literal('text/plain', 'application/json', 'text/x.enum'), responseSchema: openApiSchema, responseJsonSchema: jsonSchemaSubset,
        responseFormat: any, responseModalities: array(literal('TEXT', 'IMAGE', 'AUDIO')), presencePenalty: number({ min: -2, max: 2 }),
        frequencyPenalty: number({ min: -2, max: 2 }), seed: integer(), responseLogprobs: boolean, logprobs: integer({ min: 0, max: 20 }), speechConfig: any,
        imageConfig: any, mediaResolution: string(), thinkingConfig: thinking, audioTranscriptionConfig: any, enableEnhancedCivicAnswers: boolean,
}, {
        check: (v, path, out) => {
                const schema = v.responseSchema ?? v.responseJsonSchema ?? v.response_schema ?? v.response_json_schema;
                if (v.responseSchema && v.responseJsonSchema)
                        fail(out, path, 'only one of responseSchema and responseJsonSchema may be set');
                if (schema && !(v.responseMimeType ?? v.response_mime_type))
                        fail(out, path, 'responseMimeType must be application/json with a schema');
                if (v.logprobs !== undefined && v.responseLogprobs !== true)
                        fail(out, `${path}.logprobs`, 'needs responseLogprobs');
        },
});
const tool = object({
        functionDeclarations: array(declaration, { min: 1 }), googleSearch: any, codeExecution: any, urlContext: any, googleMaps: any, fileSearch: any,
        computerUse: any, mcpServers: any,
});
const generate = object({
        'contents!': array(content, { min: 1 }), systemInstruction: object({ role: string(), 'parts!': array(part, { min: 1 }) }), tools: array(tool),
        toolConfig: object({
                functionCallingConfig: object({ mode: literal('AUTO', 'ANY', 'NONE', 'VALIDATED'), allowedFunctionNames: array(string(), { min: 1 }) }),
                retrievalConfig: any, includeServerSideToolInvocations: boolean,
        }),
        generationConfig: generation, cachedContent: string(), serviceTier: literal('flex', 'standard', 'priority'), store: boolean, labels: any,
        continuationToken: base64,
        safetySettings: array(object({ 'category!': string({ pattern: /^HARM_CATEGORY_/ }), 'threshold!': string() })),
});
const embedFields = {
        model: string({ pattern: /^models\// }), 'content!': object({ role: any, 'parts!': array(object({ text: string({ min: 1 }), inlineData: blob }), { min: 1 }) }),
        title: string(), outputDimensionality: integer({ min: 1 }),
        taskType: literal('RETRIEVAL_QUERY', 'RETRIEVAL_DOCUMENT', 'SEMANTIC_SIMILARITY', 'CLASSIFICATION', 'CLUSTERING', 'QUESTION_ANSWERING',
                          'FACT_VERIFICATION', 'CODE_RETRIEVAL_QUERY'),
};
const { model: requiredModel, ...restOfEmbed } = embedFields;
const embed = object(embedFields);
const batch = object({ 'requests!': array(object({ 'model!': requiredModel, ...restOfEmbed }), { min: 1, max: 100 }) });

const role = (c) => c.role ?? 'user';
const get = (o, name) => o?.[name] ?? o?.[name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)];
const calls = (c) => (c?.parts ?? []).filter((p) => get(p, 'functionCall'));
const results = (c) => (c?.parts ?? []).filter((p) => get(p, 'functionResponse'));

// Consecutive turns of one role count as one step.
const steps = (contents) => {
        const out = [];
        contents.forEach((c, index) => {
                const last = out.at(-1);
                if (last && last.role === role(c))
                        last.parts.push(...c.parts ?? []);
                else
                        out.push({ role: role(c), parts: [...c.parts ?? []], index });
        });
        return out;
};

const checkCalls = (contents, rules, out) => {
        const list = steps(contents);
        list.forEach((c, i) => {
                const path = `contents[${c.index}]`;
                const wanted = c.role === 'user' ? calls(list[i - 1]) : [];
                const given = results(c);
                if (c.role === 'model' && given.length)
                        fail(out, path, 'function responses belong into a user turn');
                if (c.role === 'user' && calls(c).length)
                        fail(out, path, 'function calls belong into a model turn');
                if (c.role === 'user' && wanted.length !== given.length)
                        fail(out, path, 'Please ensure that the number of function response parts is equal to the number of function call parts of the '
                                + `function call turn (${given.length}, ${wanted.length}).`);
                given.forEach((p, k) => {
                        const call = get(wanted[k], 'functionCall'), response = get(p, 'functionResponse');
                        if (call && call.name !== response.name)
                                fail(out, path, `function response ${k} is of '${response.name}', the call was of '${call.name}'`);
                        if (call?.id && response.id && call.id !== response.id)
                                fail(out, path, `function response ${k} has another id than its call`);
                        if (response.parts && rules && !rules.resultParts)
                                fail(out, path, 'this model takes no parts in function responses');
                });
                if (c.role === 'model' && calls(c).length && i === 0)
                        fail(out, path, 'Please ensure that function call turn comes immediately after a user turn or after a function response turn.');
        });
        if (calls(list.at(-1)).length)
                fail(out, 'contents', 'Please ensure that function calls are answered.');
};

const checkSignatures = (contents, rules, context, out) => {
        contents.forEach((c, i) => (c.parts ?? []).forEach((p, k) => {
                const signature = get(p, 'thoughtSignature');
                if (signature === undefined || signature === sentinel)
                        return;
                const path = `contents[${i}].parts[${k}]`;
                const issued = context.issued.get(signature);
                const call = get(p, 'functionCall');
                if (issued?.provider !== 'gemini')
                        fail(out, path, 'Corrupted thought signature.');
                else if (issued.on === 'call' && (!call || call.name !== issued.name))
                        fail(out, path, 'Thought signature is not valid for this part.');
                else if (issued.on === 'text' && (call || p.text !== issued.text))
                        fail(out, path, 'Thought signature is not valid for this part: the text was changed.');
        }));
        if (!rules?.signed)
                return;
        const start = contents.findLastIndex((c) => role(c) === 'user' && (c.parts ?? []).some((p) => !get(p, 'functionResponse')));
        steps(contents).filter((c) => c.role === 'model' && c.index > start && calls(c).length).forEach((c) => {
                const [first, ...rest] = calls(c);
                if (!get(first, 'thoughtSignature'))
                        fail(out, `contents[${c.index}]`, `Function call is missing a thought_signature in functionCall parts: \`${get(first, 'functionCall').name}\``);
                if (rest.some((p) => get(p, 'thoughtSignature') === sentinel))
                        fail(out, `contents[${c.index}]`, 'only the first of parallel function calls is signed');
        });
};

const checkGenerate = (route, body, context, out) => {
        generate(body, '', out);
        if (!Array.isArray(body?.contents) || body.contents.some((c) => !c || typeof c !== 'object'))
                return;
        const rules = modelRules(route.model);
        checkCalls(body.contents, rules, out);
        checkSignatures(body.contents, rules, context, out);
        const thoughts = get(get(body, 'generationConfig'), 'thinkingConfig') ?? {};
        const level = get(thoughts, 'thinkingLevel'), budget = get(thoughts, 'thinkingBudget');
        const at = 'generationConfig.thinkingConfig';
        if (level !== undefined && budget !== undefined)
                fail(out, at, 'You can only set only one of thinking budget and thinking level.');
        if (rules && level !== undefined && !rules.levels?.includes(String(level).toLowerCase()))
                fail(out, at, `Thinking level ${level} is not supported for this model.`);
        if (rules && budget !== undefined && !rules.budget)
                fail(out, at, 'Thinking budget is not supported for this model.');
        if (/^gemini-2\.5-pro/.test(route.model) && budget !== undefined && budget >= 0 && budget < 128)
                fail(out, at, 'The thinking budget is invalid. Please choose a value between 128 and 32768.');
        if (/^gemini-2\.5-flash/.test(route.model) && budget > 24576)
                fail(out, at, 'The thinking budget is invalid. Please choose a value between 0 and 24576.');
        const calling = get(get(body, 'toolConfig'), 'functionCallingConfig');
        const names = (body.tools ?? []).flatMap((t) => get(t, 'functionDeclarations') ?? []).map((d) => d.name);
        if (get(calling, 'allowedFunctionNames') && !['ANY', 'VALIDATED'].includes(calling.mode))
                fail(out, 'toolConfig', 'allowedFunctionNames needs mode ANY or VALIDATED');
        for (const name of get(calling, 'allowedFunctionNames') ?? [])
                if (!names.includes(name))
                        fail(out, 'toolConfig', `'${name}' is no declared function`);
        if (calling?.mode === 'ANY' && !names.length)
                fail(out, 'toolConfig', 'Function calling config is set without function_declarations.');
        if (new Set(names).size !== names.length)
                fail(out, 'tools', 'Duplicate function declaration found');
        const safety = body.safetySettings ?? body.safety_settings;
        if (safety && new Set(safety.map((s) => s.category)).size !== safety.length)
                fail(out, 'safetySettings', 'a category is given twice');
};

const check = (route, body, context, out) => {
        if (context.query.has('alt') && !(route.stream && context.query.get('alt') === 'sse'))
                fail(out, 'alt', 'only alt=sse, and only for streams');
        if (route.kind === 'chat')
                return checkGenerate(route, body, context, out);
        (route.method === 'embedContent' ? embed : batch)(body, '', out);
        for (const r of body?.requests ?? [])
                if (r.model !== `models/${route.model}`)
                        fail(out, 'requests.model', 'must be the model of the request');
};

/* ---------------------------------------------------------------- answers */

const finishes = { stop: 'STOP', stop_sequence: 'STOP', length: 'MAX_TOKENS', tool: 'STOP', filter: 'SAFETY' };

// proto3 JSON: what is zero is left out.
const lean = (o) => Object.fromEntries(Object.entries(o).filter(([, v]) => v !== 0 && v !== undefined && v !== false && v !== ''));

const usage = (u, { done = true } = {}) => {
        const thoughts = u.reasoning ?? 0;
        const candidates = done ? u.output - thoughts : 0;
        return {
                ...lean({
                        promptTokenCount: u.input, candidatesTokenCount: candidates, totalTokenCount: u.input + candidates + thoughts,
                        cachedContentTokenCount: u.cached ?? 0,
                }),
                promptTokensDetails: [{ modality: 'TEXT', tokenCount: u.input }], ...lean({ thoughtsTokenCount: thoughts }), serviceTier: 'standard',
        };
};

const logprobs = (chunks) => ({
        chosenCandidates: chunks.map((token, tokenId) => lean({ token, tokenId, logProbability: -0.125 })),
        topCandidates: chunks.map((token, tokenId) => ({ candidates: [lean({ token, tokenId, logProbability: -0.125 })] })),
        logProbabilitySum: -0.125 * chunks.length,
});

const callPart = (b) => ({
        functionCall: { name: b.tool.name, args: JSON.parse(b.tool.arguments || '{}'), ...(b.tool.id ? { id: b.tool.id } : {}) },
        ...(b.signature ? { thoughtSignature: b.signature } : {}),
});

const wholePart = (b) => {
        if (b.tool)
                return callPart(b);
        if (b.thinking !== undefined)
                return { text: b.thinking, thought: true };
        return { text: b.text, ...(b.signature ? { thoughtSignature: b.signature } : {}) };
};

// Thoughts are given only when they were asked for.
const shown = (plan, body) => {
        const thoughts = get(get(get(body, 'generationConfig'), 'thinkingConfig'), 'includeThoughts');
        return plan.blocks.filter((b) => b.refusal === undefined && (b.thinking === undefined || thoughts));
};

const wrap = (plan, body, candidates, done) => {
        const refused = plan.finish === 'filter' && !shown(plan, body).length;
        return {
                ...(refused ? { promptFeedback: { blockReason: 'PROHIBITED_CONTENT' } } : { candidates }),
                usageMetadata: usage(plan.usage, { done }), modelVersion: plan.servedModel, responseId: plan.id,
        };
};

const reply = (plan, body) => {
        const parts = shown(plan, body).map(wholePart);
        const config = get(body, 'generationConfig');
        const chunks = plan.blocks.flatMap((b) => (b.text !== undefined ? b.chunks : []));
        return wrap(plan, body, Array.from({ length: get(config, 'candidateCount') ?? 1 }, (_, index) => ({
                content: { ...(parts.length ? { parts } : {}), role: 'model' }, finishReason: finishes[plan.finish], ...lean({ index }),
                ...(get(config, 'responseLogprobs') ? { logprobsResult: logprobs(chunks), avgLogprobs: -0.125 } : {}),
        })), true);
};

const partsOf = (b) => {
        if (b.tool)
                return [callPart(b)];
        if (b.thinking !== undefined)
                return b.chunks.map((text) => ({ text, thought: true }));
        return b.chunks.map((text) => ({ text }));
};

const frames = (plan, body, route, sse) => {
        const chunks = [];
        const config = get(body, 'generationConfig');
        const count = get(config, 'candidateCount') ?? 1;
        const push = (parts, { finish, last = false, text } = {}) => {
                for (let index = 0; index < count; index++)
                        chunks.push({
                                content: parts.some((p) => p.text || p.functionCall),
                                body: wrap(plan, body, [{
                                        content: { ...(parts.length ? { parts } : {}), role: 'model' }, ...(finish ? { finishReason: finish } : {}), ...lean({ index }),
                                        ...(text && get(config, 'responseLogprobs') ? { logprobsResult: logprobs([text]) } : {}),
                                }], last),
                        });
        };
        const list = shown(plan, body);
        for (const b of list)
                for (const p of partsOf(b))
                        push([p], { text: b.text !== undefined ? p.text : undefined });
        const signed = list.findLast((b) => b.text !== undefined && b.signature);
        push(list.length || plan.finish !== 'filter' ? [{ text: '', ...(signed ? { thoughtSignature: signed.signature } : {}) }] : [],
             { finish: finishes[plan.finish], last: true });
        if (sse)
                return chunks.map((c) => ({ bytes: `data: ${JSON.stringify(c.body)}\r\n\r\n`, content: c.content }));
        const json = chunks.map((c) => ({ bytes: JSON.stringify(c.body, null, 2), content: c.content }));
        return json.map((f, i) => ({ ...f, bytes: `${i ? ',\r\n' : '['}${f.bytes}\n${i === json.length - 1 ? ']' : ''}` }));
};

const statuses = {
        400: 'INVALID_ARGUMENT', 401: 'UNAUTHENTICATED', 403: 'PERMISSION_DENIED', 404: 'NOT_FOUND', 429: 'RESOURCE_EXHAUSTED', 499: 'CANCELLED',
        408: 'DEADLINE_EXCEEDED', 413: 'INVALID_ARGUMENT', 422: 'INVALID_ARGUMENT', 500: 'INTERNAL', 503: 'UNAVAILABLE', 504: 'DEADLINE_EXCEEDED', 529: 'UNAVAILABLE',
};
const methods = {
        generateContent: { kind: 'chat', stream: false }, streamGenerateContent: { kind: 'chat', stream: true }, embedContent: { kind: 'embed' },
        batchEmbedContents: { kind: 'embed' },
};

export const gemini = {
        name: 'gemini',
        key: (headers) => headers['x-goog-api-key'],
        authHeaders: ['x-goog-api-key'],
        headers: [],
        query: ['alt'],
        // Gateways ask v1beta, where every field is; the SDK's own default is v1.
        route: (path, lax) => {
                const m = (lax ? /^\/v1(?:beta)?\/models\/([^/:]+):(\w+)$/ : /^\/v1beta\/models\/([^/:]+):(\w+)$/).exec(path);
                return m && methods[m[2]] ? { ...methods[m[2]], model: decodeURIComponent(m[1]), method: m[2] } : undefined;
        },
        model: (route) => route.model,
        streams: (route) => route.stream === true,
        check, reply, frames,
        endFrames: 0, /* after what says how it ended */
        pretty: 2,
        id: () => randomBytes(17).toString('base64url'),
        callId: (model) => (modelRules(model)?.signed ? randomBytes(8).toString('hex').slice(0, 8) : ''),
        contentType: { json: 'application/json; charset=UTF-8', stream: (sse) => (sse ? 'text/event-stream' : 'application/json; charset=UTF-8') },
        answerHeaders: () => ({ vary: 'Origin, X-Origin, Referer', 'server-timing': 'gfet4t7; dur=317', 'x-frame-options': 'SAMEORIGIN' }),
        inputs: (route, body) => (route.method === 'embedContent' ? [body] : body.requests).map((r) => r.content.parts.map((p) => p.text).join('\n')),
        dimensions: (route, body) => get(route.method === 'embedContent' ? body : body.requests[0], 'outputDimensionality') ?? 3072,
        embedReply: (route, body, vectors, tokens) => (route.method === 'embedContent'
                ? { embedding: { values: vectors[0] }, usageMetadata: { promptTokenCount: tokens, totalTokenCount: tokens } }
                : {
                        embeddings: vectors.map((values) => ({ values })),
                        ...(/-001/.test(route.model) ? {}
                            : { usageMetadata: { promptTokenCount: tokens, promptTokenDetails: [{ modality: 'TEXT', tokenCount: tokens }] } }),
                }),
        error: (status, message, { type, details } = {}) => ({
                error: { code: status, message, status: type ?? statuses[status] ?? 'UNKNOWN', ...(details ? { details } : {}) },
        }),
        violation: ({ path, message }) => gemini.error(400, `${path}: ${message}`),
        badKey: () => gemini.error(400, 'API key not valid. Please pass a valid API key.', {
                details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID', domain: 'googleapis.com' }],
        }),
        errorFrame: (message) => `data: ${JSON.stringify(gemini.error(503, message))}\r\n\r\n`,
        malformedFrame: 'data: {"candidates": [{"content": {"parts": [{"text": "bro\r\n\r\n',
        errorIn200: (message) => gemini.error(503, message),
        frameChunk: (json) => `data: ${json}\r\n\r\n`,
        endOfRecording: '',
};
