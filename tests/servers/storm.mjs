// Many callers at once, what the provider saw of each, and windows over it.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { stateFile, writeConfig } from './config.mjs';
import { startFake } from './fake/provider.mjs';
import { openStream, postJson } from './gate.mjs';
import { removeFolder, sleep, startServer } from './harness.mjs';

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

// An account with keys of its own: { row, keys }. more: settings of the account.
export const account = (name, more = {}, keyCount = 1) => {
        const keys = Array.from({ length: keyCount }, () => `tg-${randomBytes(24).toString('base64url')}`);
        return { row: { name, models: ['*'], keys: keys.map((key, i) => ({ name: `k${i}`, sha256: sha256(key) })), ...more }, keys };
};

export const model = (name, targets, version = {}) => ({ name, tasks: ['chat'], versions: [{ name: '1', targets, ...version }] });

// A fake, a configuration with a state of its own, and servers on it: servers: [[kind, options], …].
export const startWorld = async ({ settings = {}, providers = () => [], models = [], accounts, servers }) => {
        const fake = await startFake();
        const world = { fake, servers: [], key: Object.fromEntries(accounts.map((a) => [a.row.name, a.keys[0]])), keys: Object.fromEntries(accounts.map((a) => [a.row.name, a.keys])) };
        world.state = stateFile();
        world.config = writeConfig(fake, {
                settings: { state: world.state, workers: 40, keepalive: 0.2, log: { level: 'info', file: '' }, ...settings }, providers: providers(fake), models, accounts: accounts.map((a) => a.row),
        });
        world.stop = async () => {
                for (const server of world.servers)
                        await server.stop();
                await fake.stop();
                removeFolder(world.config.folder);
                for (const server of world.servers)
                        assert.doesNotMatch(server.errorLog(), /AddressSanitizer|LeakSanitizer|runtime error:/, 'what a sanitizer found');
                assert.deepEqual(fake.violations, [], 'what went to the provider');
        };
        try {
                for (const [kind, options] of servers)
                        world.servers.push(await startServer(kind, { config: world.config.file, env: world.config.env, ...options }));
        } catch (e) {
                await world.stop().catch(() => {});
                throw e;
        }
        return world;
};

const bodyOf = (name, prompt, max) => ({ model: name, max_tokens: max, messages: [{ role: 'user', content: prompt }] });
const headersOf = (key) => (key ? { authorization: `Bearer ${key}` } : {});

// One question: { status, headers, text, json, start, end, prompt }. The prompt tells it apart at the provider.
let count = 0;
export const question = async (server, key, name, { prompt = `question ${++count} of many`, max = 50, headers, ...more } = {}) => {
        const start = Date.now();
        const r = await postJson(`${server.baseUrl}/v1/chat/completions`, bodyOf(name, prompt, max), { ...headersOf(key), ...headers }, more);
        return { status: r.status, headers: r.headers, text: r.text, start, end: Date.now(), prompt };
};
export const stream = (server, key, name, { prompt = `question ${++count} of many`, max = 50, headers } = {}) =>
        openStream(`${server.baseUrl}/v1/chat/completions`, { ...bodyOf(name, prompt, max), stream: true }, { ...headersOf(key), ...headers });

export const promptOf = (record) => record.body?.messages?.at(-1)?.content;
// When the provider was asked this; undefined: it was not.
export const arrivals = (fake, upstream) => new Map(fake.requests.filter((r) => r.model === upstream).map((r) => [promptOf(r), r.at]));

// Asks without end until a time, pausing as pause(ms since the start) says; gives what was granted. Anything but 200 and 429 is a fault.
export const hammer = async (server, key, name, { from, until, pause, max }) => {
        const granted = [], refused = [];
        while (Date.now() < until) {
                const r = await question(server, key, name, { max });
                assert.ok([200, 429].includes(r.status), `${r.status}: ${r.text}`);
                (r.status === 200 ? granted : refused).push(r);
                await sleep(pause(Date.now() - from));
        }
        return { granted, refused };
};

// The most that any window of so many ms holds: things: [{ at, weight }].
export const fullest = (things, ms) => {
        const list = [...things].sort((a, b) => a.at - b.at);
        let most = 0, sum = 0;
        for (let first = 0, last = 0; last < list.length; last++) {
                sum += list[last].weight;
                while (list[last].at - list[first].at >= ms)
                        sum -= list[first++].weight;
                most = Math.max(most, sum);
        }
        return most;
};

// The most of these [start, end] that overlap.
export const overlap = (spans) => {
        const edges = spans.flatMap(([start, end]) => [[start, 1], [end, -1]]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        let now = 0, most = 0;
        for (const [, step] of edges)
                most = Math.max(most, now += step);
        return most;
};

export const waitOf = (r) => {
        assert.match(r.headers['retry-after'] ?? 'none', /^[1-9][0-9]*$/, `retry-after of ${r.status}: ${r.text}`);
        return Number(r.headers['retry-after']);
};
