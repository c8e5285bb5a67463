/* GET /metrics over real servers: who may see it, that it counts what was sent, over several processes, a kill and a new
 * start; that promtool and a real Prometheus take it, and that rules and dashboard ask for what is there. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { stateFile } from './config.mjs';
import { configFolder, configText, model, newKey, openStream, postJson, request, startUpstream } from './gate.mjs';
import { freePort, kinds, removeFolder, skipReason, sourceDir, startServer, tmpFolder, waitFor, which } from './harness.mjs';

const bearer = (key) => ({ authorization: `Bearer ${key.key}` });
const openMetrics = { accept: 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5' };
const messages = [{ role: 'user', content: 'Hello there' }];

/* Samples as [{ name, labels, value }]. */
function samplesOf(text) {
        return text.split('\n').filter((line) => line && !line.startsWith('#')).map((line) => {
                const [, name, labels, value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? assert.fail(line);
                return { name, labels: Object.fromEntries([...(labels ?? '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, k, v]) => [k, v])), value: Number(value) };
        });
}

const sum = (samples, name, labels = {}) => samples.filter((s) => s.name === name && Object.entries(labels).every(([k, v]) => (s.labels[k] ?? '') === v))
        .reduce((all, s) => all + s.value, 0);

/* A program of the package prometheus, or why it can't be used here, as skipReason() does. */
function reasonWithout(program) {
        if (which(program))
                return false;
        if (process.env.TOLLGATE_NEED_ALL)
                throw new Error(`${program} is not installed`);
        return `${program} is not installed`;
}

/* Its output, also where it fails. */
async function run(program, args, input) {
        const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
        let output = '';
        child.stdout.on('data', (bytes) => { output += bytes; });
        child.stderr.on('data', (bytes) => { output += bytes; });
        child.stdin.on('error', () => {});
        child.stdin.end(input);
        const status = await new Promise((resolve, reject) => { child.on('error', reject); child.on('close', resolve); });
        return { status, output };
}

for (const kind of kinds) {
        describe(`the metrics over ${kind}`, { skip: skipReason(kind) }, () => {
                const ops = newKey('ops'), staff = newKey('staff');
                let server, url;
                const metrics = (headers, method) => request(`${url}/metrics`, { headers, method });
                before(async () => {
                        const state = stateFile();
                        server = await startServer(kind, { config: configFolder().file('tollgate.conf', configText({
                                settings: `state = "${state}"; ledger = "${path.dirname(state)}/usage.db"; operators = { accounts = [ "ops" ]; };`,
                                accounts: [`{ name = "ops"; models = ["*"]; keys = ( ${ops.row} ); }`, `{ name = "staff"; models = ["*"]; keys = ( ${staff.row} ); }`],
                        })) });
                        url = server.baseUrl;
                });
                after(() => server?.stop());

                it('are for operators only', async () => {
                        assert.equal((await metrics(bearer(ops))).status, 200);
                        assert.equal((await metrics(bearer(staff))).status, 403);
                        assert.equal((await metrics({})).status, 401);
                        assert.equal((await metrics(bearer(ops), 'POST')).status, 405);
                });
                it('come in the format that is asked for', async () => {
                        const plain = await metrics({ ...bearer(ops), accept: '*/*' }), open = await metrics({ ...bearer(ops), ...openMetrics }), head = await metrics(bearer(ops), 'HEAD');
                        assert.equal(plain.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
                        assert.equal(open.headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8');
                        assert.match(plain.text, /^# TYPE tollgate_requests_total counter$/m);
                        assert.match(open.text, /^# TYPE tollgate_requests counter$/m);
                        assert.ok(open.text.endsWith('\n# EOF\n'));
                        assert.equal(head.status, 200);
                        assert.equal(head.text, '');
                });
                it('count a request once it is in the ledger', async () => {
                        const asked = await postJson(`${url}/v1/chat/completions`, { model: 'echo', messages }, bearer(staff));
                        assert.equal(asked.status, 200);
                        const samples = await waitFor(async () => {
                                const now = samplesOf((await metrics(bearer(ops))).text);
                                return sum(now, 'tollgate_requests_total') > 0 && now;
                        }, { ms: 60000, what: 'the request in the metrics' });
                        assert.equal(sum(samples, 'tollgate_requests_total', { account: 'staff', model: 'echo', version: '1', provider: 'local', outcome: 'ok' }), 1);
                        assert.equal(sum(samples, 'tollgate_tokens_total', { kind: 'output' }), asked.json.usage.completion_tokens);
                        assert.equal(sum(samples, 'tollgate_ledger_readable'), 1);
                        assert.equal(sum(samples, 'tollgate_state_readable'), 1);
                });
        });
}

const kind = 'lighttpd-fastcgi', procs = 3;
describe(`the metrics of ${procs} processes`, { skip: skipReason(kind) }, () => {
        const ops = newKey('ops'), staff = newKey('staff'), slow = newKey('slow');
        const sent = { ok: 0, input: 0, output: 0 };
        let server, upstream, config, folder;
        const url = (tail) => `${server.baseUrl}/${tail}`;
        const text = async (headers) => (await request(url('metrics'), { headers: { ...bearer(ops), ...headers } })).text;
        const samples = async () => samplesOf(await text());
        const requests = (now, labels) => sum(now, 'tollgate_requests_total', labels);
        const all = () => sent.ok + 9;

        before(async () => {
                upstream = await startUpstream();
                folder = configFolder();
                const state = stateFile();
                config = folder.file('tollgate.conf', configText({
                        settings: `keepalive = 0.4; state = "${state}"; ledger = "${path.dirname(state)}/usage.db"; operators = { accounts = [ "ops" ]; };
                                prices = ( { model = "echo"; input = 1.0; output = 2.0; }, { model = "gpt-test"; input = 3.0; output = 4.0; } );`,
                        providers: [`{ name = "far"; dialect = "openai"; base = "${upstream.base}"; key = "sk-upstream"; limits = { rpm = 1000; concurrent = 9; }; }`],
                        models: [model('far', [['far', 'gpt-test']], ['chat'], 'retry = { attempts = 2; backoff = 0.01; max_backoff = 0.02; };')],
                        accounts: [`{ name = "ops"; models = ["echo"]; keys = ( ${ops.row} ); }`, `{ name = "staff"; models = ["*"]; keys = ( ${staff.row} ); budget = { day = 1000.0; hard = false; }; }`,
                                   `{ name = "slow"; models = ["echo"]; keys = ( ${slow.row} ); limits = { rpd = 1; }; }`],
                }));
                server = await startServer(kind, { config, procs });
        });
        after(async () => {
                await server?.stop();
                await upstream?.stop();
                removeFolder(folder.folder);
        });

        const chat = async (more) => {
                const answer = await postJson(url('v1/chat/completions'), { model: 'echo', messages, ...more }, bearer(staff));
                assert.equal(answer.status, 200, answer.text);
                sent.ok++;
                const usage = more?.stream ? JSON.parse(answer.text.split('\n').filter((l) => l.startsWith('data: {')).at(-1).slice(6)).usage : answer.json.usage;
                sent.input += usage.prompt_tokens;
                sent.output += usage.completion_tokens;
        };

        it('count all that was sent, whoever served it', async () => {
                for (let i = 0; i < 10; i++)
                        await Promise.all(Array.from({ length: 6 }, (_, n) => chat(n % 2 ? { stream: true, stream_options: { include_usage: true } } : {})));
                const embedded = await postJson(url('v1/embeddings'), { model: 'echo', input: ['a', 'b'] }, bearer(staff));
                sent.ok++;
                sent.input += embedded.json.usage.prompt_tokens;

                upstream.answer = (incoming, outgoing) => outgoing.writeHead(500, { 'content-type': 'application/json' }).end('{"error":{"message":"no"}}');
                const statuses = [];
                for (const [path, body, key] of [['v1/chat/completions', { model: 'far', messages }, staff], ['v1/chat/completions', { model: 'nowhere', messages }, staff],
                                                 ['v1/chat/completions', { model: 'echo@2', messages }, staff], ['v1/chat/completions', { model: 'echo' }, staff],
                                                 ['v1/chat/completions', { model: 'far', messages }, ops], ['chat', { model: 'echo', prompt: 'Hi' }, slow],
                                                 ['chat', { model: 'echo', prompt: 'Hi' }, slow]])
                        statuses.push((await postJson(url(path), body, bearer(key))).status);
                assert.deepEqual(statuses, [502, 404, 404, 400, 403, 200, 429]);
                upstream.answer = null;
                const left = await openStream(url('v1/chat/completions'), { model: 'far', messages, stream: true }, bearer(staff));
                await left.until('one ');
                left.close();
                await waitFor(() => upstream.calls.at(-1).closed, { ms: 60000, what: 'the end of the call whose client left' });
                upstream.waiting.length = 0;
                const stream = await openStream(url('v1/chat/completions'), { model: 'far', messages, stream: true }, bearer(staff));
                await stream.until('one ');
                for (let i = 0; i < 3; i++)
                        await upstream.go();
                await stream.rest();

                const now = await waitFor(async () => {
                        const seen = await samples();
                        return requests(seen) >= all() && seen;
                }, { ms: 60000, what: `${all()} requests in the metrics` });
                assert.equal(requests(now), all());
                const echo = { account: 'staff', model: 'echo', provider: 'local', outcome: 'ok' };
                assert.equal(requests(now, echo), sent.ok);
                assert.equal(sum(now, 'tollgate_tokens_total', { account: 'staff', model: 'echo', kind: 'input' }), sent.input);
                assert.equal(sum(now, 'tollgate_tokens_total', { account: 'staff', model: 'echo', kind: 'output' }), sent.output);
                const cost = sum(now, 'tollgate_cost_total', { account: 'staff', model: 'echo', currency: 'USD' });
                assert.ok(Math.abs(cost * 1e6 - sent.input - 2 * sent.output) < 1e-6, `${cost} for ${sent.input} and ${sent.output}`);
                for (const [type, count] of [['provider_error', 1], ['caller_model_not_found', 2], ['caller_bad_request', 1], ['policy_forbidden', 1],
                                             ['policy_rate_limit', 1], ['caller_left', 1]])
                        assert.equal(requests(now, { error_type: type }), count, type);
                assert.ok(now.every((s) => s.labels.model !== 'nowhere'), 'no name that a stranger made up');
                assert.equal(sum(now, 'tollgate_retries_total', { model: 'far' }), 1);

                const spoken = { gen_ai_operation_name: 'chat', gen_ai_provider_name: 'local', gen_ai_request_model: 'echo', error_type: '' };
                assert.equal(sum(now, 'gen_ai_client_token_usage_count', { ...spoken, gen_ai_token_type: 'input' }), sent.ok, 'the plain one is of another account');
                assert.equal(sum(now, 'gen_ai_server_request_duration_seconds_count', { ...spoken, gen_ai_operation_name: 'embeddings' }), 1);
                assert.equal(sum(now, 'gen_ai_server_time_to_first_token_seconds_count', spoken), 30);
                assert.equal(sum(now, 'gen_ai_server_request_duration_seconds_bucket', { ...spoken, le: '+Inf' }), sent.ok);
        });

        it('show what is now', async () => {
                const stream = await openStream(url('v1/chat/completions'), { model: 'far', messages, stream: true }, bearer(staff));
                await stream.until('one ');
                const now = await samples();
                assert.equal(sum(now, 'tollgate_in_flight', { kind: 'target', name: 'far/gpt-test' }), 1);
                assert.equal(sum(now, 'tollgate_limit_used', { kind: 'provider', name: 'far', limit: 'concurrent' }), 1);
                assert.equal(sum(now, 'tollgate_limit', { kind: 'provider', name: 'far', limit: 'concurrent' }), 9);
                assert.equal(sum(now, 'tollgate_breaker_state', { name: 'far/gpt-test', state: 'closed' }), 1);
                assert.equal(sum(now, 'tollgate_budget', { account: 'staff', period: 'day' }), 1000);
                assert.ok(sum(now, 'tollgate_budget_used', { account: 'staff', period: 'day' }) > 0);
                assert.equal(sum(now, 'tollgate_version_in_force', { model: 'far', version: '1' }), 1);
                assert.ok(sum(now, 'tollgate_processes') >= 1 && sum(now, 'tollgate_processes') <= procs);
                for (let i = 0; i < 3; i++)
                        await upstream.go();
                await stream.rest();
                sent.ok++;
        });

        it('go on over a kill and a new start', async () => {
                const before = await waitFor(async () => {
                        const seen = await samples();
                        return requests(seen) >= all() && seen;
                }, { ms: 60000, what: 'all requests in the metrics' });
                for (const pid of server.responderPids())
                        process.kill(pid, 'SIGKILL');
                await waitFor(async () => (await request(url('healthz'))).status === 200, { ms: 60000, what: 'new processes' });
                assert.equal(requests(await samples()), requests(before));
                await server.stop();
                server = await startServer(kind, { config, procs });
                const then = await samples();
                assert.equal(requests(then), requests(before));
                assert.equal(sum(then, 'tollgate_tokens_total'), sum(before, 'tollgate_tokens_total'));
                assert.equal(sum(then, 'tollgate_cost_total'), sum(before, 'tollgate_cost_total'));
        });

        it('pass promtool check metrics', { skip: reasonWithout('promtool') }, async () => {
                const { status, output } = await run('promtool', ['check', 'metrics'], await text());
                assert.equal(status, 0, output);
        });

        it('are all described in docs/monitoring.md, and what rules and dashboard ask for is there', async () => {
                const names = [...(await text()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name, type]) => (type === 'histogram' ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`] : [name]));
                const page = fs.readFileSync(path.join(sourceDir, 'docs/monitoring.md'), 'utf8');
                for (const name of names.filter((n) => !/_(bucket|sum|count)$/.test(n)))
                        assert.ok(page.includes(`\`${name}`), `${name} is not in docs/monitoring.md`);
                for (const [, name] of page.matchAll(/`((?:tollgate|gen_ai_(?:client|server))_[a-z_]+)/g))
                        assert.ok(names.includes(name), `${name} of docs/monitoring.md is not there`);
                const dashboard = JSON.parse(fs.readFileSync(path.join(sourceDir, 'docs/grafana-dashboard.json'), 'utf8'));
                const asked = [...dashboard.panels.flatMap((p) => p.targets ?? []).map((t) => t.expr), ...dashboard.annotations.list.map((a) => a.expr),
                               ...dashboard.templating.list.filter((v) => v.type === 'query').map((v) => v.query)];
                assert.ok(asked.length > 30);
                for (const expression of [...asked, fs.readFileSync(path.join(sourceDir, 'docs/prometheus-rules.yml'), 'utf8')])
                        for (const [name] of expression.matchAll(/\b(tollgate_[a-z_]+|gen_ai_(?:client|server)_[a-z_]+)\b/g))
                                assert.ok(names.includes(name), `${name} of ${expression.slice(0, 100)}`);
        });

        it('are scraped by a real Prometheus', { skip: reasonWithout('prometheus'), timeout: 240000 }, async () => {
                const home = tmpFolder('tollgate-prometheus-');
                const port = await freePort();
                const rules = path.join(sourceDir, 'docs/prometheus-rules.yml');
                fs.writeFileSync(path.join(home, 'key'), ops.key, { mode: 0o600 });
                fs.writeFileSync(path.join(home, 'prometheus.yml'), `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [ '${rules}' ]
scrape_configs:
  - job_name: tollgate
    metrics_path: /ai/metrics
    authorization: { credentials_file: ${path.join(home, 'key')} }
    static_configs: [ { targets: [ '127.0.0.1:${server.port}' ] } ]
`);
                const child = spawn('prometheus', [`--config.file=${home}/prometheus.yml`, `--storage.tsdb.path=${home}/data`, `--web.listen-address=127.0.0.1:${port}`], { stdio: ['ignore', 'ignore', 'pipe'] });
                let said = '';
                child.stderr.on('data', (bytes) => { said += bytes; });
                const gone = new Promise((resolve) => child.once('close', resolve));
                const api = async (tail) => (await request(`http://127.0.0.1:${port}/api/v1/${tail}`)).json.data;
                const ask = async (expression) => (await api(`query?query=${encodeURIComponent(expression)}`)).result;
                try {
                        const expected = requests(await samples());
                        await waitFor(async () => (await ask('up{job="tollgate"}'))[0]?.value[1] === '1', { ms: 120000, every: 300, what: 'a scrape' });
                        assert.equal(Number((await ask('sum(tollgate_requests_total)'))[0].value[1]), expected);
                        assert.equal((await ask(`tollgate_requests_total{account="staff",model="echo",outcome="ok"}`)).length, 1);
                        const [p95] = await ask('histogram_quantile(0.95, sum by (le) (gen_ai_server_request_duration_seconds_bucket))');
                        assert.ok(Number(p95.value[1]) > 0, JSON.stringify(p95));
                        const known = await api('metadata?metric=tollgate_requests');
                        assert.equal(known.tollgate_requests?.[0].type, 'counter', 'it took OpenMetrics');
                        const [target] = (await api('targets')).activeTargets;
                        assert.equal(target.lastError, '');
                        await waitFor(async () => (await api('rules')).groups.flatMap((g) => g.rules).every((r) => r.health === 'ok'), { ms: 60000, every: 300, what: 'rules that work' });
                        const dashboard = JSON.parse(fs.readFileSync(path.join(sourceDir, 'docs/grafana-dashboard.json'), 'utf8'));
                        for (const { expr } of dashboard.panels.flatMap((p) => p.targets ?? []))
                                await ask(expr.replaceAll('$__rate_interval', '1m').replaceAll('$account', '.*').replaceAll('$model', '.*'));
                } catch (error) {
                        error.message += `\nprometheus said:\n${said.slice(-3000)}`;
                        throw error;
                } finally {
                        child.kill('SIGTERM');
                        const late = setTimeout(() => child.kill('SIGKILL'), 20000);
                        await gone;
                        clearTimeout(late);
                        removeFolder(home);
                }
        });
});

describe('the rules for Prometheus', { skip: reasonWithout('promtool') }, () => {
        it('are good', async () => {
                const { status, output } = await run('promtool', ['check', 'rules', path.join(sourceDir, 'docs/prometheus-rules.yml')]);
                assert.equal(status, 0, output);
        });
        it('alert when they are to', async () => {
                const { stdout } = await promisify(execFile)('promtool', ['test', 'rules', path.join(sourceDir, 'tests/servers/prometheus-rules.test.yml')]);
                assert.match(stdout, /SUCCESS/);
        });
});
