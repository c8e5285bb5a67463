/* A mixture of requests in every dialect, and the world that answers them: for valgrind and for the search for races. */
import { stateFile } from './config.mjs';
import { configFolder, configText, model, newKey, openStream, postJson, request, startUpstream } from './gate.mjs';

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
/* Each is called with (url, key's headers) and returns an answer's status; what it should be stands first. */
export const mix = [
        [200, (url) => request(`${url}/healthz`)],
        [200, (url, key) => request(`${url}/v1/models`, { headers: key })],
        [200, (url) => postJson(`${url}/v1/chat/completions`, { model: 'echo', messages: [{ role: 'user', content: 'Hello' }] })],
        [200, (url) => postJson(`${url}/v1/chat/completions`, { model: 'echo', stream: true, messages: [{ role: 'user', content: 'Hello, streams' }] })],
        [200, (url) => postJson(`${url}/v1/chat/completions`, { model: 'echo', messages: [{ role: 'user', content: [
                { type: 'text', text: 'What is it?' }, { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } }] }] })],
        [200, (url) => postJson(`${url}/v1/chat/completions`, { model: 'echo', messages: [{ role: 'user', content: 'call weather' }],
                tools: [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } }] })],
        [200, (url) => postJson(`${url}/v1/embeddings`, { model: 'echo', input: ['one', 'two'] })],
        [200, (url) => postJson(`${url}/v1/messages`, { model: 'echo', max_tokens: 50, messages: [{ role: 'user', content: 'Hello' }] }, { 'anthropic-version': '2023-06-01' })],
        [200, (url) => postJson(`${url}/v1/messages`, { model: 'echo', max_tokens: 50, stream: true, messages: [{ role: 'user', content: 'Hello' }] }, { 'anthropic-version': '2023-06-01' })],
        [200, (url) => postJson(`${url}/v1beta/models/echo:generateContent`, { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] })],
        [200, (url) => postJson(`${url}/v1beta/models/echo:streamGenerateContent?alt=sse`, { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] })],
        [200, (url) => postJson(`${url}/v1beta/models/echo:streamGenerateContent`, { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] })],
        [200, (url) => postJson(`${url}/chat`, { model: 'echo', prompt: 'Hello' }, { accept: 'text/plain' })],
        [200, (url) => request(`${url}/chat`, { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'model=echo&prompt=Hello+there' })],
        [200, (url) => request(`${url}/vision`, { headers: { 'content-type': 'multipart/form-data; boundary=b' }, body: Buffer.concat([
                Buffer.from('--b\r\ncontent-disposition: form-data; name="model"\r\n\r\necho\r\n--b\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\ncontent-type: image/png\r\n\r\n'),
                Buffer.from(png, 'base64'), Buffer.from('\r\n--b--\r\n')]) })],
        [200, (url, key) => postJson(`${url}/v1/chat/completions`, { model: 'far', messages: [{ role: 'user', content: 'Hello' }] }, key)],
        [200, (url, key) => postJson(`${url}/v1/messages`, { model: 'far', max_tokens: 50, messages: [{ role: 'user', content: 'Hello' }] }, { ...key, 'anthropic-version': '2023-06-01' })],
        [200, (url, key) => postJson(`${url}/v1beta/models/far:generateContent`, { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] }, key)],
        [400, (url) => request(`${url}/v1/chat/completions`, { headers: { 'content-type': 'application/json' }, body: '{"model":"echo","model":"echo"}' })],
        [400, (url) => request(`${url}/v1/messages`, { headers: { 'content-type': 'application/json' }, body: `${'['.repeat(100)}` })],
        [401, (url) => request(`${url}/v1/models`, { headers: { authorization: 'Bearer wrong' } })],
        [404, (url) => postJson(`${url}/v1/chat/completions`, { model: 'nobody', messages: [{ role: 'user', content: 'Hello' }] })],
        [404, (url) => request(`${url}/nothing`)],
        [405, (url) => request(`${url}/v1/chat/completions`)],
        [502, (url, key) => postJson(`${url}/v1/chat/completions`, { model: 'dead', messages: [{ role: 'user', content: 'Hello' }] }, key)],
];

export async function mixedWorld(workers = mix.length + 8) {
        const key = newKey('test');
        const upstream = await startUpstream();
        const folder = configFolder();
        const config = folder.file('tollgate.conf', configText({
                settings: `anonymous = "public"; keepalive = 1.0; workers = ${workers}; state = "${stateFile()}";`,
                providers: [`{ name = "far"; dialect = "openai"; base = "${upstream.base}"; key = "file:${folder.file('key', 'sk-upstream\n')}"; }`,
                            '{ name = "dead"; dialect = "openai"; base = "http://127.0.0.1:1/v1"; }'],
                models: [model('far', [['far', 'gpt-test']], ['chat']), model('dead', [['dead', 'gpt-test']], ['chat'], 'breaker = { share = 0.0; }; retry = { backoff = 0.05; };')],
                accounts: ['{ name = "public"; models = ["echo"]; }', `{ name = "tester"; models = ["*"]; keys = ( ${key.row} ); limits = { rpm = 1000000; tpm = 100000000; rpd = 10000000; concurrent = 1000; queue = 5.0; }; }`],
        }));
        /* Streams of the provider go on by themselves here; what does not stream is answered in one piece. */
        const whole = (asked) => JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion', created: 1700000000, model: asked.model,
                choices: [{ index: 0, message: { role: 'assistant', content: 'Hello back' }, finish_reason: 'stop' }],
                usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } });
        upstream.answer = (incoming, outgoing, body) => {
                const asked = JSON.parse(body);
                if (!asked.stream) {
                        outgoing.writeHead(200, { 'content-type': 'application/json' }).end(whole(asked));
                        return;
                }
                outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
                const timer = setInterval(() => outgoing.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: asked.model,
                        choices: [{ index: 0, delta: { content: 'on ' }, finish_reason: null }] })}\n\n`), 50);
                outgoing.on('close', () => clearInterval(timer));
        };
        return { folder, config, upstream, headers: { authorization: `Bearer ${key.key}` } };
}

/* A client that leaves in the middle of a stream. */
export async function leaveStream(url, headers) {
        const stream = await openStream(`${url}/v1/chat/completions`, { model: 'far', stream: true, messages: [{ role: 'user', content: 'x' }] }, headers);
        await stream.until('on ');
        stream.close();
}
