// Bad input gets a clear error in the dialect's own shape, and nothing breaks: after each, a good request is answered.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { callerKey } from './config.mjs';
import { png } from './fake/images.mjs';
import { post, raw } from './raw.mjs';
import { call, errorOf, eachServer } from './suite.mjs';

const nest = (depth) => '['.repeat(depth) + ']'.repeat(depth);

// A good request of each dialect, with holes: messages (JSON text) and more members.
const dialects = {
        openai: {
                path: '/v1/chat/completions', good: '{"model":"gpt","messages":[{"role":"user","content":"Hi"}]}',
                more: (members) => `{"model":"gpt","messages":[{"role":"user","content":"Hi"}],${members}}`,
                text: (text) => `{"model":"gpt","messages":[{"role":"user","content":${text}}]}`,
                image: (data) => `{"model":"gemini","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,${data}"}}]}]}`,
                wrong: ['{"model":5,"messages":[]}', '{"model":"gpt","messages":{}}', '{"model":"gpt","messages":[5]}', '{"model":"gpt","messages":[{"role":"pope","content":"x"}]}', '{"model":"gpt","messages":[{"role":"user","content":{"a":1}}]}', '{"model":"gpt","messages":[{"role":"user","content":"x"}],"max_tokens":"many"}', '{"model":"gpt","messages":[{"role":"user","content":"x"}],"max_tokens":5,"max_completion_tokens":6}', '[]', '"x"', '5', 'null'],
                unknown: '{"model":"nobody","messages":[{"role":"user","content":"Hi"}]}', type: 'invalid_request_error', notFound: 'invalid_request_error',
        },
        anthropic: {
                path: '/v1/messages', good: '{"model":"claude","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}',
                more: (members) => `{"model":"claude","max_tokens":9,"messages":[{"role":"user","content":"Hi"}],${members}}`,
                text: (text) => `{"model":"claude","max_tokens":9,"messages":[{"role":"user","content":${text}}]}`,
                image: (data) => `{"model":"gpt","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"${data}"}}]}]}`,
                wrong: ['{"model":"claude","max_tokens":"9","messages":[{"role":"user","content":"x"}]}', '{"model":"claude","max_tokens":9,"messages":"x"}', '{"model":"claude","max_tokens":9,"messages":[{"role":"pope","content":"x"}]}', '[]', 'null'],
                unknown: '{"model":"nobody","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}', type: 'invalid_request_error', notFound: 'not_found_error',
        },
        gemini: {
                path: '/v1beta/models/gemini:generateContent', good: '{"contents":[{"parts":[{"text":"Hi"}]}]}',
                more: (members) => `{"contents":[{"parts":[{"text":"Hi"}]}],${members}}`,
                text: (text) => `{"contents":[{"parts":[{"text":${text}}]}]}`,
                image: (data) => `{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"${data}"}}]}]}`, imagePath: '/v1beta/models/gpt:generateContent',
                wrong: ['{"contents":5}', '{"contents":[{"parts":5}]}', '{"contents":[{"parts":[{"text":5}]}]}', '{"contents":[{"role":"pope","parts":[{"text":"x"}]}]}', '[]', 'null'],
                unknown: '{"contents":[{"parts":[{"text":"Hi"}]}]}', unknownPath: '/v1beta/models/nobody:generateContent', type: 'INVALID_ARGUMENT', notFound: 'NOT_FOUND',
        },
        plain: {
                path: '/chat', good: '{"prompt":"Hi"}', more: (members) => `{"prompt":"Hi",${members}}`, text: (text) => `{"prompt":${text}}`,
                image: (data) => `{"prompt":"x","model":"gemini","image":"data:image/png;base64,${data}"}`,
                wrong: ['{"prompt":5}', '{"prompt":"x","temperature":"hot"}', '{}', '[]', 'null'], unknown: '{"prompt":"x","model":"nobody"}',
        },
};

eachServer('bad input', {}, (s) => {
        const send = (path, body, headers = {}) => call(s, path, { body, headers: { 'content-type': 'application/json', ...headers } });
        const refused = (dialect, r, status, what) => {
                assert.equal(r.status, status, `${what}: ${r.text.slice(0, 300)}`);
                assert.match(r.headers.get('content-type'), /^application\/json/, what);
                const e = errorOf(dialect, r.json);
                assert.doesNotMatch(e.message, /[\u0000-\u001f\u007f]/, what);
                if (status === 400 && dialects[dialect].type)
                        assert.equal(e.type, dialects[dialect].type, what);
                return e;
        };

        for (const [dialect, d] of Object.entries(dialects))
                describe(dialect, () => {
                        afterEach(async () => {
                                const r = await send(d.path, d.good);
                                assert.equal(r.status, 200, `a good request afterwards: ${r.text.slice(0, 300)}`);
                        });

                        test('empty, truncated, no JSON', async () => {
                                for (const body of ['', ' ', '{', d.good.slice(0, -1), d.good.slice(0, 10), `${d.good}x`, `${d.good}${d.good}`, 'hello', '{"a":NaN}', "{'a':1}", '\ufeff{', '{"a":1,}'])
                                        refused(dialect, await send(d.path, body), 400, JSON.stringify(body.slice(0, 60)));
                        });

                        test('wrong types', async () => {
                                for (const body of d.wrong)
                                        refused(dialect, await send(d.path, body), 400, body);
                        });

                        test('100 levels deep, a million nodes', async () => {
                                refused(dialect, await send(d.path, d.more(`"metadata":${nest(100)}`)), 400, '100 deep');
                                refused(dialect, await send(d.path, d.more(`"metadata":${nest(100000)}`)), 400, '100,000 deep');
                                refused(dialect, await send(d.path, d.more(`"metadata":[${'[],'.repeat(999_999)}[]]`)), 400, 'a million nodes');
                        });

                        test('duplicate keys, also in escapes and deep inside', async () => {
                                for (const [members, name] of [['"user":"a","user":"b"', 'user'], ['"us\\u0065r":"a","user":"b"', 'user'], ['"x":{"deep":[{"a":1,"a":2}]}', 'a']])
                                        assert.match(refused(dialect, await send(d.path, d.more(members)), 400, members).message, new RegExp(name));
                        });

                        test('invalid UTF-8, NUL and lone surrogates in strings', async () => {
                                for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82]]) {
                                        const [left, right] = d.text('"@"').split('@');
                                        refused(dialect, await send(d.path, Buffer.concat([Buffer.from(left), Buffer.from(bytes), Buffer.from(right)])), 400, bytes.join());
                                }
                                refused(dialect, await send(d.path, d.text('"a\u0000b"')), 400, 'a raw NUL');
                                refused(dialect, await send(d.path, d.text('"a\nb"')), 400, 'a raw newline');
                                for (const text of ['"a\\u0000b"', '"a\\ud800b"'])
                                        refused(dialect, await send(d.path, d.text(text)), 400, text);
                                refused(dialect, await send(d.path, d.more('"a\\u0000b":1')), 400, 'a NUL in a key');
                        });

                        test('33 MB', async () => {
                                const r = await send(d.path, d.text(`"${'x'.repeat(33 << 20)}"`)).catch((e) => ({ gone: e }));
                                if (!r.gone)
                                        refused(dialect, r, 413, '33 MB');
                                else
                                        assert.match(String(r.gone.cause?.code ?? r.gone), /EPIPE|ECONNRESET|UND_ERR/);
                        });

                        test('a wrong Content-Length', async () => {
                                const headers = { Authorization: `Bearer ${callerKey}`, 'Content-Type': 'application/json' };
                                const short = await raw(s.server.port, post(`/ai${d.path}`, headers, d.good, d.good.length - 5));
                                assert.equal(short.status, 400, short.all.slice(0, 300));
                                errorOf(dialect, short.json);
                                const long = await raw(s.server.port, post(`/ai${d.path}`, headers, d.good, d.good.length + 500), { end: true, ms: 3000 });
                                /* mod_fcgid has a word of its own for it. */
                                assert.ok([0, 400, 408, ...(s.kind === 'apache-fcgid' ? [500] : [])].includes(long.status), `${long.status}: the rest never came`);
                                for (const length of ['-1', 'x', '99999999999999999999']) {
                                        const odd = await raw(s.server.port, post(`/ai${d.path}`, headers, d.good, length), { ms: 3000 });
                                        assert.ok([0, 400, 413].includes(odd.status), `${length}: ${odd.status}`);
                                }
                        });

                        test('a lying or missing Content-Type', async () => {
                                const form = await send(d.path, d.good, { 'content-type': 'multipart/form-data; boundary=x' });
                                assert.equal(form.status, dialect === 'plain' ? 400 : 415, form.text.slice(0, 200));
                                errorOf(dialect, form.json);
                                if (dialect !== 'plain')
                                        for (const type of ['application/x-www-form-urlencoded', 'image/png', 'text/html']) {
                                                const r = await send(d.path, d.good, { 'content-type': type });
                                                assert.equal(r.status, 415, type);
                                                errorOf(dialect, r.json);
                                        }
                                const zipped = await send(d.path, d.good, { 'content-encoding': 'gzip' });
                                assert.equal(zipped.status, 415);
                                errorOf(dialect, zipped.json);
                        });

                        test('bad base64, images that are none', async () => {
                                const path = d.imagePath ?? d.path;
                                const good = png().toString('base64');
                                for (const data of ['!!!!', `${good.slice(0, 40)}*${good.slice(41)}`, 'abc', `${good}=`, Buffer.from('no image').toString('base64'), Buffer.from('<svg/>').toString('base64'), ''])
                                        refused(dialect, await send(path, d.image(data)), 400, data.slice(0, 30));
                        });

                        test('an unknown model, a wrong key, a wrong method', async () => {
                                const r = await send(d.unknownPath ?? d.path, d.unknown);
                                const e = refused(dialect, r, 404, 'an unknown model');
                                assert.match(e.message, /nobody/);
                                if (d.notFound)
                                        assert.equal(e.type, d.notFound);
                                for (const key of [null, 'wrong', callerKey.slice(0, -1), `${callerKey}x`])
                                        refused(dialect, await call(s, d.path, { body: d.good, key, headers: { 'content-type': 'application/json' } }), 401, `key ${key}`);
                                refused(dialect, await call(s, d.path, { body: d.good, headers: { 'x-api-key': 'another', 'content-type': 'application/json' } }), 401, 'two keys');
                                for (const method of ['GET', 'PUT', 'DELETE']) {
                                        const wrong = await call(s, d.path, { method, ...(method === 'GET' ? {} : { body: d.good }) });
                                        refused(dialect, wrong, 405, method);
                                        assert.match(wrong.headers.get('allow'), /POST/);
                                }
                        });

                        test('header injection in every echoed value', async () => {
                                const evil = 'gpt\\r\\nx-evil: 1\\r\\n\\r\\n<script>';
                                const bodies = [d.more(`"evil${'\\r\\n'}x-evil: 1":1,"evil${'\\r\\n'}x-evil: 1":2`), d.unknown.replace('nobody', evil)];
                                for (const body of bodies) {
                                        const r = await send(d.path, body);
                                        assert.ok(r.status >= 200 && r.status < 500);
                                        assert.equal(r.headers.get('x-evil'), null);
                                        assert.ok(!/[\r\n]x-evil/.test(r.text));
                                }
                                const headers = { Authorization: `Bearer ${callerKey}`, 'Content-Type': 'application/json', 'X-Request-Id': 'a\tb"<x>' };
                                const r = await raw(s.server.port, post(`/ai${d.path}`, headers, d.good));
                                assert.equal(r.status, 200);
                                assert.ok(!r.headers.some(([k, v]) => k === 'x-request-id' && /[\t"<]/.test(v)));
                                assert.doesNotMatch(s.server.errorLog(), /^x-evil/m, 'no forged log line');
                        });
                });

        describe('paths and frames', () => {
                afterEach(async () => assert.equal((await call(s, '/healthz')).status, 200));
                test('odd paths', async () => {
                        for (const path of ['/ai/../etc/passwd', '/ai/v1/../chat', '/ai//chat', '/ai/v1//chat/completions', '/ai/chat/', '/ai/v1/chat/completions/', '/ai/%2e%2e/chat', '/ai/chat%00', '/ai/chat%0a', '/ai/v1beta/models/:generateContent', '/ai/v1beta/models/gpt:', '/ai/v1beta/models/gpt:fly', '/ai/v1beta/models/a%2Fb:generateContent']) {
                                const r = await raw(s.server.port, post(path, { Authorization: `Bearer ${callerKey}`, 'Content-Type': 'application/json' }, '{"prompt":"x"}'));
                                assert.ok(r.status === 404 || r.status === 400 || (r.status === 200 && /\.\.|\/\//.test(path)) || r.status === 403, `${path}: ${r.status}`);
                        }
                });
                test('multipart without an end, without a boundary, with too many parts', async () => {
                        const part = '--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nx';
                        for (const [body, type] of [
                                [part, 'multipart/form-data; boundary=b'], [`${part}\r\n--b--\r\n`, 'multipart/form-data'], ['--b', 'multipart/form-data; boundary=b'],
                                [`--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n`, 'multipart/form-data; boundary=b'],
                                [`${part}\r\n`.repeat(20000), 'multipart/form-data; boundary=b'], ['', 'multipart/form-data; boundary=b'],
                                [part, `multipart/form-data; boundary=${'b'.repeat(5000)}`],
                        ]) {
                                const r = await call(s, '/chat', { body, headers: { 'content-type': type } });
                                assert.equal(r.status, 400, `${type.slice(0, 60)} ${body.slice(0, 40)}: ${r.status} ${r.text.slice(0, 200)}`);
                                errorOf('plain', r.json);
                        }
                });
                test('a chunked body without a length', async () => {
                        const body = '{"prompt":"Hi"}';
                        const head = `POST /ai/chat HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${callerKey}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
                        const chunk = (t) => `${Buffer.byteLength(t).toString(16)}\r\n${t}\r\n`;
                        const r = await raw(s.server.port, [head, chunk(body.slice(0, 4)), chunk(body.slice(4)), '0\r\n\r\n']);
                        assert.equal(r.status, 200, r.all.slice(0, 400));
                });
                test('a caller who leaves before the body is whole', async () => {
                        const head = post('/ai/chat', { Authorization: `Bearer ${callerKey}`, 'Content-Type': 'application/json' }, '{"prompt":', 100000);
                        await raw(s.server.port, head, { ms: 200 });
                });
                test('arguments in the query are no arguments', async () => {
                        for (const query of ['-c+/tmp/evil.conf', '-c%20/tmp/evil.conf', '--version', '-w+1'])
                                assert.equal((await raw(s.server.port, `GET /ai/healthz?${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)).status, 200, query);
                });
                test('two keys that disagree, spelt alike', async () => {
                        const bytes = post('/ai/chat', { Authorization: `Bearer ${callerKey}`, 'X-Api-Key': 'wrong', 'Content-Type': 'application/json' }, '{"prompt":"x"}');
                        assert.equal((await raw(s.server.port, bytes)).status, 401);
                });
        });
});
