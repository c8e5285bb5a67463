// The tollgate.conf of the suites: every provider points at the fake, its keys come by environment, by file and literally.
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ownFolder, sourceDir, tmpFolder, writeFile } from './harness.mjs';

export const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const string = (text) => `"${String(text).replace(/[\\"]/g, '\\$&')}"`;

// A libconfig value: plain objects are groups, arrays are lists.
export const conf = (value) => {
        if (Array.isArray(value)) {
                const scalars = value.every((e) => typeof e !== 'object');
                return scalars ? `[ ${value.map(conf).join(', ')} ]` : `( ${value.map(conf).join(',\n')} )`;
        }
        if (typeof value === 'object')
                return `{ ${Object.entries(value).map(([k, v]) => `${k} = ${conf(v)};`).join(' ')} }`;
        return typeof value === 'string' ? string(value) : String(value);
};

// What callers ask for, and the upstream model behind it.
export const upstream = {
        gpt: ['openai', 'gpt-4o'], 'gpt-thinks': ['openai', 'gpt-5.5'], claude: ['anthropic', 'claude-sonnet-4-6'],
        'claude-new': ['anthropic', 'claude-opus-5-5'], 'claude-old': ['anthropic', 'claude-haiku-4-5'], gemini: ['gemini', 'gemini-3.5-flash'],
        'gemini-old': ['gemini', 'gemini-2.5-flash'], echo: ['echo', 'echo'],
};
const embedders = {
        'embed-gpt': ['openai', 'text-embedding-3-small'], 'embed-gemini': ['gemini', 'gemini-embedding-2'],
        'embed-gemini-1': ['gemini', 'gemini-embedding-001'], 'embed-echo': ['echo', 'echo'],
};

// Second tries come sooner than a keep-alive, which would make an error a part of the stream.
const model = ([provider, name], tasks) => ({ tasks, versions: [{ name: '1', retry: { backoff: 0.05, max_backoff: 0.1 }, targets: [{ provider, model: name }] }] });

export const callerKey = `tg-${randomBytes(24).toString('base64url')}`;
export const otherKey = `tg-${randomBytes(24).toString('base64url')}`;

// Writes the configuration of a fake. more: { settings, providers, models, accounts, timeouts } on top of what is here.
export const writeConfig = (fake, more = {}) => {
        const folder = tmpFolder('tollgate-conf-');
        for (const name of ['catalogue.conf', 'prices.conf']) /* as shipped, where the web server's user can read them */
                if (existsSync(join(sourceDir, 'conf', name)))
                        copyFileSync(join(sourceDir, 'conf', name), join(folder, name));
        const claudeKey = writeFile(join(folder, 'claude.key'), `${fake.keys.anthropic}\n`);
        const timeouts = { connect: 2.0, first_token: 20.0, idle: 20.0, attempt: 40.0, ...more.timeouts };
        const state = more.settings?.state ?? stateFile();
        const settings = {
                version: 1, workers: 16, keepalive: 0.4, defaults: { chat: 'gpt', vision: 'gpt', embed: 'embed-gpt' }, log: { level: 'debug', file: '' }, state, ledger: join(dirname(state), 'usage.db'), ...more.settings,
        };
        const providers = [
                { name: 'openai', dialect: 'openai', base: fake.base('openai'), key: 'env:FAKE_OPENAI_KEY', timeouts },
                { name: 'anthropic', dialect: 'anthropic', base: fake.base('anthropic'), key: `file:${claudeKey}`, timeouts },
                { name: 'gemini', dialect: 'gemini', base: fake.base('gemini'), key: fake.keys.gemini, timeouts },
                { name: 'echo', dialect: 'echo' }, ...more.providers ?? [],
        ];
        const models = [
                ...Object.entries(upstream).map(([name, target]) => ({ name, ...model(target, ['chat', 'vision']) })),
                ...Object.entries(embedders).map(([name, target]) => ({ name, ...model(target, ['embed']) })), ...more.models ?? [],
        ];
        const accounts = [
                { name: 'suite', keys: [{ name: 'k', sha256: sha256(callerKey) }], models: ['*'] },
                { name: 'narrow', keys: [{ name: 'k', sha256: sha256(otherKey) }], models: ['gpt'] }, ...more.accounts ?? [],
        ];
        const text = Object.entries({ ...settings, providers, models, accounts }).map(([k, v]) => `${k} = ${conf(v)};\n`).join('');
        return { folder, ledger: settings.ledger, file: writeFile(join(folder, 'tollgate.conf'), text), env: { FAKE_OPENAI_KEY: fake.keys.openai, TOLLGATE_DATADIR: folder, ...more.env } };
};

// The setting `state` of a test of its own: a file that the responder makes, in a folder that is the server's user's alone.
export const stateFile = (folder = tmpFolder('tollgate-state-')) => join(ownFolder(join(folder, 'state')), 'state');

// A provider row that answers by scripts of its own name, and the model that asks it.
export const named = (fake, dialect, name, key = fake.keys[dialect]) => ({ name, dialect, base: fake.base(dialect, name), key });
