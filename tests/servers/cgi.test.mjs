/* The program by itself as CGI, which says more than a web server lets through: what is looked at before a body is there. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildDir, writeFile } from './harness.mjs';
import { configFolder, configText, model, newKey, startUpstream } from './gate.mjs';

const echo = '{ name = "echo"; dialect = "echo"; }';

describe('as CGI', () => {
        const key = newKey('test');
        let open, closed, upstream;

        before(async () => {
                upstream = await startUpstream();
                const folder = configFolder();
                const settings = (more) => configText({
                        settings: `max_body = "1M"; ${more}`, providers: [echo, `{ name = "far"; dialect = "anthropic"; base = "${upstream.base.replace(/\/v1$/, '')}"; key = "k"; }`],
                        models: [model('m', [['echo', 'echo']], ['chat']), model('far', [['far', 'far']], ['chat'])],
                        accounts: [`{ name = "keys"; models = ["*"]; keys = ( ${key.row} ); }`, '{ name = "all"; models = ["m"]; }'],
                });
                closed = folder.file('closed.conf', settings(''));
                open = folder.file('open.conf', settings('anonymous = "all";'));
        });

        after(() => upstream?.stop());

        /* variables: on top of those of a chat. body: null leaves the input open with nothing in it. */
        const run = (variables, body = null, { args = [], config = closed } = {}) => new Promise((resolve, reject) => {
                const text = body === null ? '' : JSON.stringify(body);
                const child = spawn(path.join(buildDir, 'tollgate.fcgi'), args, {
                        env: {
                                GATEWAY_INTERFACE: 'CGI/1.1', REQUEST_METHOD: 'POST', SCRIPT_NAME: '/ai', PATH_INFO: '/v1/chat/completions', HTTP_HOST: 'gate',
                                CONTENT_TYPE: 'application/json', CONTENT_LENGTH: String(body === null ? 1000 : text.length), TOLLGATE_CONF: config, ...variables,
                        },
                });
                const began = Date.now();
                let out = '', log = '', told = 0;
                child.stdin.on('error', () => {});
                child.stdout.on('data', (bytes) => {
                        out += bytes;
                        told ||= Date.now() - began;
                        if (body === null)
                                child.stdin.end();
                });
                child.stderr.on('data', (bytes) => log += bytes);
                child.on('error', reject);
                child.on('close', () => resolve({ status: Number(/^Status: (\d+)/.exec(out)?.[1]), text: out.split('\r\n\r\n').slice(1).join('\r\n\r\n'), head: out, log, told }));
                if (body !== null)
                        child.stdin.end(text);
                else
                        setTimeout(() => child.stdin.end(), 4000).unref();
        });
        const chat = { model: 'm', messages: [{ role: 'user', content: 'Hello' }] };
        const bearer = { HTTP_AUTHORIZATION: `Bearer ${key.key}` };

        it('answers', async () => assert.equal((await run(bearer, chat)).status, 200));

        it('ignores its arguments', async () => {
                const evil = writeFile(`${closed}.evil`, 'nonsense');
                for (const args of [['-c', evil], [`-c${evil}`], ['--version'], ['-w', '0'], ['--help']])
                        assert.equal((await run(bearer, chat, { args })).status, 200, args.join(' '));
        });

        it('looks at credentials, pages, types and sizes before a body is there', async () => {
                const cases = [
                        [{}, 401], [{ HTTP_AUTHORIZATION: 'Bearer wrong' }, 401], [{ ...bearer, HTTP_X_API_KEY: 'other' }, 401],
                        [{ REMOTE_USER: 'alice', AUTH_TYPE: 'Basic' }, 403], [{ REMOTE_USER: 'alice' }, 401],
                        [{ QUERY_STRING: `key=${key.key}` }, 401],
                        [{ HTTP_SEC_FETCH_SITE: 'cross-site' }, 403, open], [{ HTTP_ORIGIN: 'http://evil' }, 403, open], [{ HTTP_ORIGIN: 'null' }, 403, open],
                        [{ ...bearer, CONTENT_LENGTH: String(2 << 20) }, 413], [{ ...bearer, CONTENT_TYPE: 'text/plain' }, 415],
                        [{ ...bearer, HTTP_CONTENT_ENCODING: 'gzip' }, 415],
                ];
                for (const [variables, status, config] of cases) {
                        const answer = await run(variables, null, { config: config ?? closed });
                        assert.equal(answer.status, status, `${JSON.stringify(variables)}: ${answer.head}`);
                        assert.ok(answer.told < 3000, `${JSON.stringify(variables)}: after ${answer.told} ms`);
                }
        });

        it('takes a key from the query under /v1beta only', async () => {
                const list = (info) => run({ REQUEST_METHOD: 'GET', PATH_INFO: info, QUERY_STRING: `key=${key.key}`, CONTENT_LENGTH: '' }, null);
                assert.equal((await list('/v1beta/models')).status, 200);
                assert.equal((await list('/v1/models')).status, 401);
        });

        it('lets a foreign page in with a key only', async () => {
                const page = { HTTP_ORIGIN: 'http://evil', HTTP_SEC_FETCH_SITE: 'cross-site' };
                assert.equal((await run({ ...page, ...bearer }, chat, { config: open })).status, 200);
                assert.equal((await run(page, chat, { config: open })).status, 403);
                assert.equal((await run({ HTTP_ORIGIN: 'http://gate' }, chat, { config: open })).status, 200);
        });

        it('quotes a huge name in part, and in JSON', async () => {
                const answer = await run(bearer, { ...chat, model: 'x'.repeat(100000) });
                assert.equal(answer.status, 404);
                assert.ok(JSON.parse(answer.text).error.message.length <= 3000);
        });

        it('lets no value pass for another in the log', async () => {
                const { log } = await run(bearer, { ...chat, model: 'm account=root user:"x"\nforged' });
                const lines = log.trim().split('\n');
                assert.ok(lines.every((line) => / tollgate (info|warn|error|debug) /.test(line)), log);
                const [line] = lines.filter((l) => l.includes(' 404 '));
                assert.match(line, / account=keys key:test model="m account=root user:\\"x\\"/);
        });

        it('ends a stream of blocks without end', async () => {
                upstream.answer = (incoming, outgoing) => {
                        outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
                        const event = (value) => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`;
                        let text = event({ type: 'message_start', message: { id: 'm', type: 'message', role: 'assistant', model: 'far', content: [], usage: { input_tokens: 1, output_tokens: 1 } } });
                        for (let index = 0; index < 20000; index++)
                                text += event({ type: 'content_block_start', index, content_block: { type: 'tool_use', id: `t${index}`, name: 'f', input: {} } }) + event({ type: 'content_block_stop', index });
                        outgoing.end(text + event({ type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 1 } }) + event({ type: 'message_stop' }));
                };
                const ask = { model: 'far', max_tokens: 9, stream: true, messages: [{ role: 'user', content: 'Hello' }] };
                for (const [info, end] of [['/v1/messages', 'message_stop'], ['/v1/chat/completions', '[DONE]']]) {
                        const answer = await run({ ...bearer, PATH_INFO: info }, ask);
                        assert.equal(answer.status, 200, answer.head.slice(0, 1000));
                        assert.match(answer.text, /"error"/);
                        assert.ok(!answer.text.includes(end), info);
                }
        });
});
