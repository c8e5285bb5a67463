// What a request said to a provider, in words that are the same for all three.
const json = (text) => JSON.parse(text || '{}');
const lean = (o) => Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined));
const list = (v) => (v === undefined ? undefined : [v].flat());
const content = (c) => (typeof c === 'string' ? [{ type: 'text', text: c }] : c ?? []);
const text = (parts) => parts.filter((p) => p.text !== undefined).map((p) => p.text).join('');

const dataUrlOf = (url) => {
        const m = /^data:([^;]+);base64,(.*)$/s.exec(url);
        return m ? { type: m[1], data: m[2] } : { url };
};

export const views = {
        openai: (b) => ({
                system: b.messages.filter((m) => ['system', 'developer'].includes(m.role)).map((m) => text(content(m.content))).join('\n'),
                user: b.messages.filter((m) => m.role === 'user').map((m) => text(content(m.content))).join('\n'),
                images: b.messages.filter((m) => m.role === 'user').flatMap((m) => content(m.content)).filter((p) => p.image_url).map((p) => dataUrlOf(p.image_url.url)),
                documents: b.messages.flatMap((m) => content(m.content)).filter((p) => p.file).map((p) => dataUrlOf(p.file.file_data)),
                max: b.max_completion_tokens ?? b.max_tokens, temperature: b.temperature, topP: b.top_p, stop: list(b.stop),
                tools: b.tools?.map((t) => lean({ name: t.function.name, parameters: t.function.parameters })),
                choice: b.tool_choice?.function?.name ?? b.tool_choice, parallel: b.parallel_tool_calls, schema: b.response_format?.json_schema?.schema,
                calls: b.messages.flatMap((m) => m.tool_calls ?? []).map((c) => ({ id: c.id, name: c.function.name, input: json(c.function.arguments) })),
                results: b.messages.filter((m) => m.role === 'tool').map((m) => ({ id: m.tool_call_id, text: text(content(m.content)) })),
                signatures: [], n: b.n, effort: b.reasoning_effort,
        }),
        anthropic: (b) => ({
                system: [text(content(b.system)), ...b.messages.filter((m) => m.role === 'system').map((m) => text(content(m.content)))].filter(Boolean).join('\n'),
                user: b.messages.filter((m) => m.role === 'user').map((m) => text(content(m.content))).join('\n'),
                images: b.messages.flatMap((m) => content(m.content)).filter((p) => p.type === 'image')
                        .map((p) => (p.source.url ? { url: p.source.url } : { type: p.source.media_type, data: p.source.data })),
                documents: b.messages.flatMap((m) => content(m.content)).filter((p) => p.type === 'document').map((p) => ({ type: p.source.media_type, data: p.source.data })),
                max: b.max_tokens, temperature: b.temperature, topP: b.top_p, stop: b.stop_sequences,
                tools: b.tools?.map((t) => lean({ name: t.name, parameters: t.input_schema })),
                choice: b.tool_choice && ({ auto: 'auto', none: 'none', any: 'required' }[b.tool_choice.type] ?? b.tool_choice.name),
                parallel: b.tool_choice?.disable_parallel_tool_use === undefined ? undefined : !b.tool_choice.disable_parallel_tool_use,
                schema: b.output_config?.format?.schema,
                calls: b.messages.flatMap((m) => content(m.content)).filter((p) => p.type === 'tool_use').map((p) => ({ id: p.id, name: p.name, input: p.input })),
                results: b.messages.flatMap((m) => content(m.content)).filter((p) => p.type === 'tool_result')
                        .map((p) => ({ id: p.tool_use_id, text: text(content(p.content)), error: p.is_error })),
                signatures: b.messages.flatMap((m) => content(m.content)).filter((p) => p.type === 'thinking').map((p) => p.signature),
                effort: b.output_config?.effort,
        }),
        gemini: (b) => {
                const parts = b.contents.flatMap((c) => c.parts);
                const config = b.generationConfig ?? {};
                const calling = b.toolConfig?.functionCallingConfig;
                return {
                        system: text(b.systemInstruction?.parts ?? []), user: text(b.contents.filter((c) => c.role !== 'model').flatMap((c) => c.parts)),
                        images: parts.filter((p) => /^image/.test(p.inlineData?.mimeType)).map((p) => ({ type: p.inlineData.mimeType, data: p.inlineData.data })),
                        documents: parts.filter((p) => /pdf/.test(p.inlineData?.mimeType)).map((p) => ({ type: p.inlineData.mimeType, data: p.inlineData.data })),
                        max: config.maxOutputTokens, temperature: config.temperature, topP: config.topP, stop: config.stopSequences,
                        tools: b.tools?.flatMap((t) => t.functionDeclarations ?? []).map((d) => lean({ name: d.name, parameters: d.parametersJsonSchema ?? d.parameters })),
                        choice: calling?.allowedFunctionNames?.[0] ?? { AUTO: 'auto', NONE: 'none', ANY: 'required' }[calling?.mode],
                        schema: config.responseJsonSchema ?? config.responseSchema, n: config.candidateCount, effort: config.thinkingConfig?.thinkingLevel?.toLowerCase(),
                        mime: config.responseMimeType,
                        calls: parts.filter((p) => p.functionCall).map((p) => ({ id: p.functionCall.id, name: p.functionCall.name, input: p.functionCall.args ?? {} })),
                        results: parts.filter((p) => p.functionResponse).map((p) => ({
                                id: p.functionResponse.id, name: p.functionResponse.name, error: p.functionResponse.response.error !== undefined || undefined,
                                text: String(p.functionResponse.response.output ?? p.functionResponse.response.result ?? p.functionResponse.response.error ?? JSON.stringify(p.functionResponse.response)),
                        })),
                        signatures: parts.filter((p) => p.thoughtSignature).map((p) => p.thoughtSignature),
                };
        },
};

export const seen = (record) => views[record.provider.name](record.body);
