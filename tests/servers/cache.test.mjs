// The response cache: whoever asks the same again gets the same again, in its own dialect, and nobody is asked.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ask, clients, dialects, ended, textOf, upstreamModel } from './ask.mjs';
import { named, sha256, stateFile, writeConfig } from './config.mjs';
import { startFake } from './fake/provider.mjs';
import { buildDir, isCgi, removeFolder, sleep, startServer, waitFor } from './harness.mjs';
import { call, eachServer } from './suite.mjs';

const key = () => `tg-${randomBytes(24).toString('base64url')}`;
const keys = { own: key(), other: key(), left: key(), right: key(), brief: key(), none: key(), tiny: key() };
const account = (name, cache, more = {}) => ({ name, keys: [{ name: 'k', sha256: sha256(keys[name]) }], models: ['*'], ...(cache ? { cache } : {}), ...more });
const state = stateFile();
const folder = path.join(path.dirname(state), 'usage.db-cache');
const slow = { connect: 2.0, first_token: 20.0, idle: 0.8, attempt: 20.0 };
const price = { input: 3.0, cached: 0.3, output: 15.0 };

const options = (fake) => ({
        settings: { state, ledger: path.join(path.dirname(state), 'usage.db'), prices: [{ model: 'priced-*', ...price }] },
        providers: dialects.map((d) => ({ ...named(fake, d, `p-${d}`), timeouts: slow })),
        models: [
                ...dialects.map((d) => ({ name: `m-${d}`, tasks: ['chat', 'vision'], versions: [{ name: '1', retry: { attempts: 1 }, breaker: { share: 0.0 }, targets: [{ provider: `p-${d}`, model: upstreamModel[d] }] }] })),
                { name: 'priced', tasks: ['chat'], versions: [{ name: '1', targets: [{ provider: 'p-openai', model: 'priced-1' }] }] },
                { name: 'warm', tasks: ['chat'], use: '1', versions: ['1', '2'].map((name) => ({ name, set: { temperature: Number(name) / 2 }, targets: [{ provider: 'p-openai', model: 'gpt-4o' }] })) },
                { name: 'pair', tasks: ['chat'], versions: [{ name: '1', retry: { attempts: 1 }, breaker: { share: 0.0 }, targets: [{ provider: 'p-openai', model: 'gpt-4o' }, { provider: 'p-anthropic', model: upstreamModel.anthropic }] }] },
                { name: 'rescued', tasks: ['chat'], versions: [{ name: '1', rescue: 'match', retry: { attempts: 1 }, breaker: { share: 0.0 }, targets: [{ provider: 'p-openai', model: 'gpt-4o' }, { provider: 'p-anthropic', model: upstreamModel.anthropic }] }] },
        ],
        accounts: [
                account('own', { seconds: 600 }), account('other', { seconds: 600 }), account('left', { seconds: 600, share: true }), account('right', { seconds: 600, share: true }),
                account('brief', { seconds: 1 }), account('tiny', { seconds: 600, size: 20000 }), account('none', null),
        ],
});

let count = 0;
const newPrompt = () => `Question ${++count} of ${process.pid}`;
const word = (r) => r.headers.get('x-tollgate-cache');

// What an answer in one piece is: members that only its own provider knows are not kept.
const essence = {
        openai: (j) => [j.id, j.created, j.model, j.choices.map((c) => [c.message.content, c.finish_reason]), j.usage.prompt_tokens, j.usage.completion_tokens, j.usage.prompt_tokens_details.cached_tokens],
        anthropic: (j) => [j.id, j.model, j.content, j.stop_reason, j.usage.input_tokens, j.usage.output_tokens, j.usage.cache_read_input_tokens],
        gemini: (j) => [j.responseId, j.modelVersion, j.candidates.map((c) => [c.content, c.finishReason]), ['promptTokenCount', 'candidatesTokenCount', 'cachedContentTokenCount'].map((n) => j.usageMetadata[n])],
        plain: (j) => [j.served_model, j.text, j.finish, j.usage],
};

const files = () => (fs.existsSync(folder) ? fs.readdirSync(folder, { recursive: true, withFileTypes: true }) : []);
const answers = () => files().filter((f) => /^[0-9a-f]{64}$/.test(f.name));

eachServer('cache', options, (s) => {
        const asks = (client, model, stream, prompt, more = {}) => ask(s, client, model, stream, { prompt, key: keys.own, ...more });
        const asked = () => s.fake.requests.length;
        const script = (d, ...scripts) => s.fake.script(`p-${d}`, ...scripts);
        /* The answer first reaches the client, then the folder. */
        const kept = async (ask_) => {
                const r = await ask_();
                assert.equal(r.status, 200, r.text);
                assert.equal(word(r), 'miss', r.text);
                return r;
        };
        const hit = async (ask_, what = '') => {
                let r;
                await waitFor(async () => (r = await ask_(), word(r) === 'hit'), { what: `a hit ${what}` });
                return r;
        };

        for (const target of dialects)
                for (const client of clients)
                        test(`${client} from ${target}: whole, streamed, each from the other`, async () => {
                                script(target, { text: 'Kept for you', usage: { input: 40, cached: 8, output: 9 } });
                                for (const first of [false, true]) {
                                        const prompt = newPrompt();
                                        const one = await kept(() => asks(client, `m-${target}`, first, prompt));
                                        const n = asked();
                                        for (const second of [false, true]) {
                                                const r = await asks(client, `m-${target}`, second, prompt);
                                                assert.equal(word(r), 'hit', `${first} then ${second}`);
                                                assert.equal(textOf[client](r), 'Kept for you');
                                                assert.equal(r.headers.get('x-tollgate-attempts'), '0');
                                                assert.equal(r.headers.get('x-tollgate-cost'), '0');
                                                for (const name of ['provider', 'model', 'version', 'served-model'])
                                                        assert.equal(r.headers.get(`x-tollgate-${name}`), one.headers.get(`x-tollgate-${name}`), name);
                                                assert.equal(r.headers.get('content-type'), second === first ? one.headers.get('content-type') : r.headers.get('content-type'));
                                                if (second)
                                                        assert.ok(ended[client](r.text), r.text);
                                                if (!second && !first)
                                                        assert.deepEqual(essence[client](r.json), essence[client](one.json));
                                                if (client === 'plain' && !second)
                                                        assert.deepEqual(r.json.cost, { amount: '0', currency: 'USD' });
                                        }
                                        assert.equal(asked(), n, 'nobody was asked again');
                                }
                        });

        test('calls, thoughts and their signatures are kept', async () => {
                script('anthropic', { blocks: [{ thinking: 'Let me see' }, { text: 'I look.' }, { tool: { name: 'look', input: { at: 'it' } } }] });
                const body = { model: 'm-anthropic', max_tokens: 2000, thinking: { type: 'adaptive' }, messages: [{ role: 'user', content: newPrompt() }], tools: [{ name: 'look', input_schema: { type: 'object', properties: { at: { type: 'string' } } } }] };
                const one = await kept(() => call(s, '/v1/messages', { body, key: keys.own }));
                const two = await hit(() => call(s, '/v1/messages', { body, key: keys.own }));
                assert.deepEqual(essence.anthropic(two.json), essence.anthropic(one.json));
                assert.deepEqual(two.json.content.map((b) => b.type), ['thinking', 'text', 'tool_use']);
                assert.equal(two.json.stop_reason, 'tool_use');
        });

        test('one dialect\'s answer is another one\'s, where no bytes pass', async () => {
                const prompt = newPrompt();
                script('gemini', { text: 'For all of you' });
                await kept(() => asks('openai', 'm-gemini', false, prompt));
                for (const client of ['anthropic', 'plain', 'openai'])
                        for (const stream of [false, true])
                                assert.equal(textOf[client](await hit(() => asks(client, 'm-gemini', stream, prompt))), 'For all of you');
        });

        test('any difference is another question', async () => {
                script('openai', { text: 'x' });
                const base = { model: 'm-openai', messages: [{ role: 'user', content: newPrompt() }] };
                const others = [
                        {}, { temperature: 0 }, { temperature: 0.5 }, { seed: 1 }, { seed: 2 }, { max_tokens: 5 }, { user: 'a' }, { user: 'b' }, { stop: ['x'] }, { stop: ['x', 'y'] }, { top_p: 1 },
                        { messages: [{ role: 'system', content: 's' }, ...base.messages] }, { messages: [{ role: 'user', content: [{ type: 'text', text: base.messages[0].content }] }] },
                        { messages: [...base.messages, { role: 'assistant', content: 'a' }, { role: 'user', content: 'b' }] },
                        { tools: [{ type: 'function', function: { name: 'f' } }] }, { tools: [{ type: 'function', function: { name: 'f', description: 'd' } }] }, { response_format: { type: 'text' } },
                ];
                for (const more of others)
                        await kept(() => call(s, '/v1/chat/completions', { body: { ...base, ...more }, key: keys.own }));
                const n = asked();
                for (const more of others)
                        await hit(() => call(s, '/v1/chat/completions', { body: { ...base, ...more, stream: true, stream_options: { include_usage: true } }, key: keys.own }), JSON.stringify(more));
                assert.equal(asked(), n);
        });

        test('a version is another question, by its name and by what it sets', async () => {
                const prompt = newPrompt();
                script('openai', { text: 'first' }, { text: 'second' });
                assert.equal(textOf.openai(await kept(() => asks('openai', 'warm', false, prompt))), 'first');
                assert.equal(textOf.openai(await kept(() => asks('openai', 'warm@2', false, prompt))), 'second');
                assert.equal(textOf.openai(await hit(() => asks('openai', 'warm@1', false, prompt))), 'first');
        });

        test('each account has its own; those that share have one', async () => {
                const prompt = newPrompt();
                script('openai', { text: 'x' });
                await kept(() => asks('openai', 'm-openai', false, prompt));
                await kept(() => asks('openai', 'm-openai', false, prompt, { key: keys.other }));
                await kept(() => asks('openai', 'm-openai', false, prompt, { key: keys.left }));
                await hit(() => asks('openai', 'm-openai', false, prompt, { key: keys.right }));
                const r = await asks('openai', 'm-openai', false, prompt, { key: keys.none });
                assert.equal(word(r), null, 'no cache, no word of one');
        });

        test('no-cache goes by it and makes it new; no-store leaves no trace', async () => {
                const prompt = newPrompt();
                script('openai', { text: 'old' }, { text: 'new' }, { text: 'secret' });
                const get = (headers = {}) => asks('openai', 'm-openai', false, prompt, { headers });
                await kept(get);
                const bypassed = await get({ 'cache-control': 'max-age=0, No-Cache' });
                assert.equal(word(bypassed), 'bypass');
                assert.equal(textOf.openai(bypassed), 'new');
                assert.equal(textOf.openai(await hit(get)), 'new');
                const n = answers().length;
                const secret = await get({ 'cache-control': 'no-store' });
                assert.equal(word(secret), 'bypass');
                assert.equal(textOf.openai(secret), 'secret');
                assert.equal(answers().length, n);
                assert.equal(textOf.openai(await hit(get)), 'new');
        });

        test('an answer is kept for its seconds', async () => {
                const prompt = newPrompt();
                script('openai', { text: 'x' });
                const get = () => asks('openai', 'm-openai', false, prompt, { key: keys.brief });
                await kept(get);
                await sleep(1100);
                await kept(get);
        });

        test('only what is whole and as it was meant is kept', async () => {
                for (const [what, bad, streamOnly] of [
                        ['cut by its length', { text: 'a b', finish: 'length' }], ['filtered', { text: 'a b', finish: 'filter' }], ['refused', { blocks: [{ refusal: 'No' }], finish: 'stop' }],
                        ['an error', { status: 400, message: 'odd' }], ['broken off', { text: 'a b c d', cut: 2 }, true], ['an error in the stream', { text: 'a b c d', errorEvent: 2 }, true],
                        ['silent', { text: 'a b c d', stall: 2 }, true],
                ])
                        for (const stream of streamOnly ? [true] : [false, true]) {
                                const prompt = newPrompt();
                                script('openai', bad, { text: 'good' });
                                const n = answers().length;
                                const r = await asks('openai', 'm-openai', stream, prompt);
                                assert.equal(word(r), 'miss', `${what}: ${r.text}`);
                                assert.equal(answers().length, n, `${what}, stream: ${stream}`);
                                assert.equal(word(await asks('openai', 'm-openai', stream, prompt)), 'miss', what);
                        }
        });

        test('what another target gave instead is kept as that one\'s', async () => {
                const prompt = newPrompt();
                script('openai', { status: 500 });
                script('anthropic', { text: 'from the other' });
                const one = await kept(() => asks('openai', 'pair', false, prompt));
                assert.equal(one.headers.get('x-tollgate-provider'), 'p-anthropic');
                const two = await hit(() => asks('openai', 'pair', true, prompt));
                assert.equal(two.headers.get('x-tollgate-provider'), 'p-anthropic');
                assert.equal(textOf.openai(two), 'from the other');
        });

        test('a stream that was rescued is whole', async () => {
                const prompt = newPrompt();
                script('openai', { text: 'one two three four', cut: 2 });
                script('anthropic', { text: 'one two three four' });
                const one = await kept(() => asks('openai', 'rescued', true, prompt));
                assert.equal(textOf.openai(one), 'one two three four');
                const two = await hit(() => asks('openai', 'rescued', false, prompt));
                assert.equal(textOf.openai(two), 'one two three four');
        });

        test('a client that leaves leaves nothing', async () => {
                const prompt = newPrompt();
                script('openai', { text: 'a b c d e f g h i j k l m n', delay: 150 });
                const n = answers().length;
                const gone = new AbortController();
                const asking = fetch(`${s.url}/v1/chat/completions`, { method: 'POST', signal: gone.signal, headers: { authorization: `Bearer ${keys.own}`, 'content-type': 'application/json' }, body: JSON.stringify({ model: 'm-openai', stream: true, max_tokens: 100, messages: [{ role: 'user', content: prompt }] }) });
                const r = await asking;
                await r.body.getReader().read();
                gone.abort();
                await sleep(2500);
                assert.equal(answers().length, n);
                script('openai', { text: 'whole' });
                await kept(() => asks('openai', 'm-openai', true, prompt));
        });

        test('what may change elsewhere goes by it', async () => {
                script('anthropic', { text: 'x' });
                const body = { model: 'm-anthropic', max_tokens: 50, messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'url', url: 'https://images.example/a.png' } }, { type: 'text', text: newPrompt() }] }] };
                for (let i = 0; i < 2; i++) {
                        const r = await call(s, '/v1/messages', { body, key: keys.own });
                        assert.equal(r.status, 200, r.text);
                        assert.equal(word(r), 'bypass');
                }
        });

        for (const model of ['embed-gpt', 'embed-gemini', 'embed-echo'])
                test(`vectors of ${model}`, async () => {
                        const input = [newPrompt(), newPrompt()];
                        const get = (more = {}, path_ = '/v1/embeddings') => call(s, path_, { body: { model, input, ...more }, key: keys.own });
                        const one = await kept(() => get());
                        const two = await hit(() => get());
                        const floats = (r) => r.json.data.map((d) => d.embedding.map(Math.fround));
                        assert.deepEqual(floats(two), floats(one));
                        assert.deepEqual(two.json.usage, one.json.usage);
                        const n = asked();
                        const base64 = await get({ encoding_format: 'base64' });
                        assert.equal(word(base64), 'hit');
                        assert.deepEqual([...new Float32Array(Uint8Array.from(Buffer.from(base64.json.data[1].embedding, 'base64')).buffer)], one.json.data[1].embedding.map(Math.fround));
                        assert.deepEqual((await hit(() => get({}, '/embed'))).json.embeddings[0].map(Math.fround), one.json.data[0].embedding.map(Math.fround));
                        assert.equal(asked(), n);
                        assert.equal(word(await get({ input: [...input].reverse() })), 'miss');
                });

        test('the folder is closed to others, and bounded', async () => {
                script('openai', { text: 'y'.repeat(1500) });
                for (let i = 0; i < 40; i++)
                        await kept(() => asks('openai', 'm-openai', false, newPrompt(), { key: keys.tiny }));
                const all = files();
                assert.ok(all.length > 10);
                for (const f of [...all, { parentPath: path.dirname(folder), name: path.basename(folder) }]) {
                        const st = fs.lstatSync(path.join(f.parentPath ?? f.path, f.name));
                        assert.equal(st.mode & 0o7777, st.isDirectory() ? 0o700 : 0o600, f.name);
                }
                const rooms = fs.readdirSync(folder).filter((n) => /^[0-9a-f]{16}$/.test(n));
                const sizes = rooms.map((r) => answers().filter((f) => (f.parentPath ?? f.path).includes(r)).reduce((sum, f) => sum + fs.statSync(path.join(f.parentPath ?? f.path, f.name)).size, 0));
                assert.ok(sizes.some((n) => n > 10000 && n <= 22500), `a room of about 20000 bytes: ${sizes}`);
        });

        test('what was changed or torn is a miss', async () => {
                const prompt = newPrompt();
                script('openai', { text: 'as it was' });
                const before_ = new Set(answers().map((f) => f.name));
                await kept(() => asks('openai', 'm-openai', false, prompt));
                let file;
                await waitFor(() => (file = answers().find((f) => !before_.has(f.name))), { what: 'the file' });
                const at = path.join(file.parentPath ?? file.path, file.name);
                const text = fs.readFileSync(at);
                fs.writeFileSync(at, Buffer.from(text.toString('latin1').replace('as it was', 'as I like'), 'latin1'));
                assert.equal(textOf.openai(await kept(() => asks('openai', 'm-openai', false, prompt))), 'as it was');
                await hit(() => asks('openai', 'm-openai', false, prompt));
                fs.truncateSync(at, text.length - 3);
                assert.equal(textOf.openai(await kept(() => asks('openai', 'm-openai', true, prompt))), 'as it was');
        });

        test('a hit costs nothing, and the books know what it saved', async () => {
                const prompt = newPrompt();
                script('openai', { text: 'dear', usage: { input: 1000, output: 100 } });
                const one = await kept(() => asks('openai', 'priced', false, prompt));
                assert.equal(one.headers.get('x-tollgate-cost'), '0.0045');
                const two = await hit(() => asks('openai', 'priced', true, prompt));
                assert.equal(two.headers.get('x-tollgate-cost'), '0');
                const story = async (r) => {
                        let told;
                        await waitFor(() => {
                                try {
                                        told = JSON.parse(execFileSync(path.join(buildDir, 'tollgate'), ['show', '-c', s.config.file, '--json', r.headers.get('x-request-id')], { env: { ...process.env, ...s.config.env }, stdio: 'pipe' }));
                                } catch (error) {
                                        throw new Error(String(error.stderr));
                                }
                                return true;
                        }, { ms: 30000, what: `the row of ${r.headers.get('x-request-id')}` });
                        return JSON.stringify(told);
                };
                const paid = await story(one), free = await story(two);
                assert.match(paid, /"cache_hit":(0|false)/);
                assert.match(paid, /0\.0045|4500000000/);
                assert.match(free, /"cache_hit":(1|true)/);
                assert.match(free, /0\.0045|4500000000/, 'what was saved');
                assert.match(free, /"attempts":(0|\[\])/);
        });
});

describe('many processes share it', { skip: process.env.SERVER_KINDS && !/lighttpd-fastcgi/.test(process.env.SERVER_KINDS) }, () => {
        let fake, config, server;
        before(async () => {
                fake = await startFake();
                config = writeConfig(fake, { ...options(fake), settings: { state: stateFile(), workers: 64 } });
                server = await startServer('lighttpd-fastcgi', { config: config.file, env: config.env, procs: 4 });
        });
        after(async () => {
                await server?.stop();
                await fake?.stop();
                if (config)
                        removeFolder(config.folder);
        });

        test('asked at once by all, then by none', async () => {
                fake.script('p-openai', { text: 'one for all' });
                const s = { url: server.baseUrl };
                const prompts = Array.from({ length: 20 }, newPrompt);
                const round = () => Promise.all(prompts.flatMap((prompt) => Array.from({ length: 6 }, (_, i) => ask(s, 'openai', 'm-openai', i % 2 === 1, { prompt, key: keys.own }))));
                for (const r of await round())
                        assert.equal(textOf.openai(r), 'one for all');
                await waitFor(async () => (await round()).every((r) => word(r) === 'hit'), { what: 'hits only' });
                const n = fake.requests.length;
                for (const r of await round())
                        assert.equal(textOf.openai(r), 'one for all');
                assert.equal(fake.requests.length, n);
                assert.ok(!isCgi('lighttpd-fastcgi') && server.responderPids().length >= 4);
        });
});
