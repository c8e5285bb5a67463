// Programs without an SDK, and HTML forms, through every server.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { callerKey } from './config.mjs';
import { dataUrl, gif, png } from './fake/images.mjs';
import { vector } from './fake/provider.mjs';
import { call, eachServer, errorOf, events } from './suite.mjs';
import { seen } from './wire.mjs';

const all = [['gpt', 'gpt-4o', 'openai'], ['claude', 'claude-sonnet-4-6', 'anthropic'], ['gemini', 'gemini-3.5-flash', 'gemini']];

eachServer('plain', { settings: { anonymous: 'suite' } }, (s) => {
        describe('chat', () => {
                for (const [model, name, provider] of all)
                        test(`JSON in, JSON out, ${provider}`, async () => {
                                s.fake.script(name, { text: 'Good day', usage: { input: 30, output: 10, cached: 20, reasoning: 4 } });
                                const r = await call(s, '/chat', { body: { model, prompt: 'Hi', system: 'Be kind', temperature: 0.5, max_tokens: 99 } });
                                assert.equal(r.status, 200, r.text);
                                assert.match(r.headers.get('content-type'), /^application\/json/);
                                const { id, latency_ms, cost, ...rest } = r.json;
                                assert.equal(typeof id, 'string');
                                assert.ok(Number.isInteger(latency_ms));
                                assert.ok(cost === undefined || cost === null || cost.amount);
                                assert.deepEqual(rest, {
                                        model, version: '1', provider, served_model: name, text: 'Good day', finish: 'stop',
                                        usage: { input: 30, output: 10, cached: 20, reasoning: 4 },
                                });
                                const v = seen(s.fake.last());
                                assert.deepEqual([v.user, v.system, v.temperature, v.max], ['Hi', 'Be kind', 0.5, 99]);
                        });

                test('messages in the shape of openai', async () => {
                        const messages = [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }, { role: 'user', content: 'c' }];
                        await call(s, '/chat', { body: { model: 'claude', messages } });
                        assert.deepEqual(s.fake.last().body.messages.map((m) => m.role), ['user', 'assistant', 'user']);
                });

                test('a form, an upload form, plain text; the model by default', async () => {
                        s.fake.script('gpt-4o', { text: 'Fine' });
                        for (const body of [new URLSearchParams({ prompt: 'Grüße & mehr' }), (() => {
                                const f = new FormData();
                                f.set('prompt', 'Grüße & mehr');
                                return f;
                        })(), 'Grüße & mehr']) {
                                const r = await call(s, '/chat', { body });
                                assert.equal(r.json?.text, 'Fine', r.text);
                                assert.equal(seen(s.fake.last()).user, 'Grüße & mehr');
                        }
                        const r = await call(s, '/chat?model=claude&max_tokens=77', { body: 'From the query', headers: { 'content-type': 'text/plain' } });
                        assert.equal(r.status, 200);
                        assert.deepEqual([seen(s.fake.last()).max, s.fake.last().model], [77, 'claude-sonnet-4-6']);
                });

                test('old charsets', async () => {
                        for (const [charset, bytes] of [
                                ['iso-8859-1', Buffer.from('Grüße', 'latin1')], ['ISO-8859-1', Buffer.from('Grüße', 'latin1')],
                                ['windows-1252', Buffer.concat([Buffer.from('Grüße ', 'latin1'), Buffer.from([0x80])])], ['utf-8', Buffer.from('Grüße')],
                        ]) {
                                const r = await call(s, '/chat', { body: bytes, headers: { 'content-type': `text/plain; charset=${charset}` } });
                                assert.equal(r.status, 200, r.text);
                                assert.equal(seen(s.fake.last()).user, charset === 'windows-1252' ? 'Grüße €' : 'Grüße');
                        }
                        const form = await call(s, '/chat', { body: 'prompt=Gr%FC%DFe', headers: { 'content-type': 'application/x-www-form-urlencoded; charset=iso-8859-1' } });
                        assert.equal(form.status, 200, form.text);
                        assert.equal(seen(s.fake.last()).user, 'Grüße');
                        const wrong = await call(s, '/chat', { body: Buffer.from([0xff, 0xfe, 0x41]), headers: { 'content-type': 'text/plain' } });
                        assert.equal(wrong.status, 400);
                        const unknown = await call(s, '/chat', { body: 'x', headers: { 'content-type': 'text/plain; charset=klingon' } });
                        assert.ok([400, 415].includes(unknown.status));
                });

                test('answers as text', async () => {
                        s.fake.script('gpt-4o', { text: 'Just this.' });
                        const r = await call(s, '/chat', { body: 'x', headers: { accept: 'text/plain' } });
                        assert.match(r.headers.get('content-type'), /^text\/plain; *charset=utf-8/i);
                        assert.equal(r.text.trimEnd(), 'Just this.');
                        const e = await call(s, '/chat', { body: { model: 'nobody', prompt: 'x' }, headers: { accept: 'text/plain' } });
                        assert.equal(e.status, 404);
                        assert.match(e.headers.get('content-type'), /^text\/plain/);
                        assert.match(e.text, /nobody/);
                });

                for (const [model, name] of all)
                        test(`events from ${model}`, async () => {
                                s.fake.script(name, { text: 'one two three' });
                                for (const ask of [{ headers: { accept: 'text/event-stream' }, body: { model, prompt: 'x' } }, { body: new URLSearchParams({ model, prompt: 'x', stream: 'true' }) }, { body: { model, prompt: 'x', stream: true } }]) {
                                        const r = await call(s, '/chat', ask);
                                        assert.match(r.headers.get('content-type'), /^text\/event-stream/);
                                        const list = events(r.text);
                                        assert.equal(list.filter((e) => e.event === 'text').map((e) => e.json.text).join(''), 'one two three');
                                        assert.equal(list.at(-1).event, 'done');
                                        assert.equal(list.at(-1).json.text, 'one two three');
                                        assert.equal(list.at(-1).json.finish, 'stop');
                                }
                                s.fake.script(name, { text: 'one two three', errorEvent: 1 });
                                const broken = events((await call(s, '/chat', { body: { model, prompt: 'x', stream: true } })).text);
                                assert.equal(broken.at(-1).event, 'error');
                                errorOf('plain', broken.at(-1).json);
                                assert.ok(!broken.some((e) => e.event === 'done'));
                        });
        });

        describe('vision', () => {
                for (const [model] of all)
                        test(`a photo from an HTML form to ${model}`, async () => {
                                const form = new FormData();
                                form.set('model', model);
                                form.set('prompt', 'What is this?');
                                form.append('image', new Blob([png(7, 5)], { type: 'application/octet-stream' }), 'photo "1".jpg');
                                form.append('image', new Blob([gif], { type: 'image/gif' }), 'x.gif');
                                const r = await call(s, '/vision', { body: form, key: null, headers: { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate' } });
                                assert.equal(r.status, 200, r.text);
                                assert.deepEqual(seen(s.fake.last()).images, [
                                        { type: 'image/png', data: png(7, 5).toString('base64') }, { type: 'image/gif', data: gif.toString('base64') },
                                ]);
                        });

                test('a large photo', async () => {
                        const photo = Buffer.concat([png(9, 9), Buffer.alloc(5_000_000, 7)]);
                        const form = new FormData();
                        form.set('prompt', 'x');
                        form.set('image', new Blob([photo]), 'x.png');
                        const r = await call(s, '/vision', { body: form });
                        assert.equal(r.status, 200, r.text);
                        assert.equal(seen(s.fake.last()).images[0].data, photo.toString('base64'));
                });

                test('a data URL in a field, in JSON', async () => {
                        for (const body of [new URLSearchParams({ prompt: 'x', image: dataUrl(png()) }), { prompt: 'x', image: dataUrl(png()) }, { prompt: 'x', image: [dataUrl(png()), dataUrl(gif, 'image/gif')] }]) {
                                const r = await call(s, '/vision', { body });
                                assert.equal(r.status, 200, r.text);
                                assert.equal(seen(s.fake.last()).images[0].data, png().toString('base64'));
                        }
                });

                test('without an image, or with what is none', async () => {
                        const none = await call(s, '/vision', { body: { prompt: 'x' } });
                        assert.equal(none.status, 400);
                        assert.match(errorOf('plain', none.json).message, /image/);
                        const form = new FormData();
                        form.set('prompt', 'x');
                        form.set('image', new Blob(['no image at all'], { type: 'image/png' }), 'x.png');
                        const bad = await call(s, '/vision', { body: form });
                        assert.equal(bad.status, 400);
                });

                test('echo names type and size', async () => {
                        const form = new FormData();
                        form.set('model', 'echo');
                        form.set('prompt', 'x');
                        form.set('image', new Blob([png(31, 17)]), 'x.png');
                        assert.match((await call(s, '/vision', { body: form })).json.text, /png.*31.*17/is);
                });
        });

        describe('embed', () => {
                test('JSON, form, text', async () => {
                        for (const model of ['embed-gpt', 'embed-gemini']) {
                                const r = await call(s, '/embed', { body: { model, input: ['a', 'b'], dimensions: 16 } });
                                assert.equal(r.status, 200, r.text);
                                assert.equal(r.json.embeddings.length, 2);
                                r.json.embeddings[1].forEach((v, i) => assert.ok(Math.abs(v - vector('b', 16)[i]) < 1e-6));
                                assert.ok(r.json.usage.input > 0);
                                assert.ok(!('text' in r.json) && !('finish' in r.json));
                        }
                        const form = new URLSearchParams([['input', 'a'], ['input', 'b'], ['dimensions', '16']]);
                        const lines = (await call(s, '/embed', { body: form, headers: { accept: 'text/plain' } })).text.trimEnd().split('\n');
                        assert.equal(lines.length, 2);
                        assert.equal(lines[0].split(' ').length, 16);
                        assert.ok(Math.abs(Number(lines[0].split(' ')[3]) - vector('a', 16)[3]) < 1e-6);
                });
        });

        describe('around it', () => {
                test('healthz, HEAD, OPTIONS, unknown paths', async () => {
                        assert.equal((await call(s, '/healthz', { key: null })).status, 200);
                        const head = await call(s, '/healthz', { method: 'HEAD', key: null });
                        assert.deepEqual([head.status, head.text], [200, '']);
                        const options = await call(s, '/v1/chat/completions', { method: 'OPTIONS', key: null });
                        assert.equal(options.status, 204);
                        assert.match(options.headers.get('allow'), /POST/);
                        assert.equal((await call(s, '/nowhere')).status, 404);
                        assert.equal((await call(s, '/v1/chat/completionsx', { body: {} })).status, 404);
                });
                test('foreign pages are kept out of what is ambient', async () => {
                        const ask = (headers, key = null) => call(s, '/chat', { body: { prompt: 'x' }, headers, key }).then((r) => r.status); /* null: none */
                        assert.equal(await ask({ 'sec-fetch-site': 'cross-site' }), 403);
                        assert.equal(await ask({ 'sec-fetch-site': 'same-site' }), 403);
                        assert.equal(await ask({ origin: 'https://evil.example' }), 403);
                        assert.equal(await ask({ origin: 'null' }), 403);
                        assert.equal(await ask({ 'sec-fetch-site': 'same-origin' }), 200);
                        assert.equal(await ask({ 'sec-fetch-site': 'none' }), 200);
                        assert.equal(await ask({}), 200);
                        assert.equal(await ask({ origin: new URL(s.url).origin }), 200);
                        assert.equal(await ask({ 'sec-fetch-site': 'cross-site' }, callerKey), 200, 'a key is not ambient');
                });
                test('a request id of the caller comes back', async () => {
                        const r = await call(s, '/chat', { body: { prompt: 'x' }, headers: { 'x-request-id': 'abc.DEF_1-2' } });
                        assert.equal(r.headers.get('x-request-id'), 'abc.DEF_1-2');
                        const bad = await call(s, '/chat', { body: { prompt: 'x' }, headers: { 'x-request-id': 'a b<c>' } });
                        assert.notEqual(bad.headers.get('x-request-id'), 'a b<c>');
                });
        });
});
