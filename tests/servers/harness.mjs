/*
 * Starts real web servers with the shipped samples around the responder that was built, each in a temporary folder and on
 * free ports, so that any number of them may run at once. No dependencies.
 *
 * TOLLGATE_BUILDDIR: where tollgate.fcgi and tollgate were built (default: build/ beside the sources).
 * TOLLGATE_SRCDIR:   the sources with the samples (default: this file's own).
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
export const sourceDir = process.env.TOLLGATE_SRCDIR || path.resolve(here, '../..');
export const buildDir = process.env.TOLLGATE_BUILDDIR || path.join(sourceDir, 'build');
const apacheModules = process.env.TOLLGATE_APACHE_MODULES || '/usr/lib/apache2/modules';
const isRoot = process.getuid() === 0;
const serverUser = isRoot ? firstUser(['www-data', 'apache', 'nobody']) : null;

const kindTable = {
        'lighttpd-fastcgi': { start: startLighttpd, sample: 'lighttpd/tollgate.conf', needs: ['lighttpd'] },
        'lighttpd-cgi': { start: startLighttpd, sample: 'lighttpd/tollgate-cgi.conf', needs: ['lighttpd'], cgi: true },
        'apache-fcgid': { start: startApache, sample: 'apache/tollgate-fcgid.conf', needs: ['apache2', 'mod_fcgid.so'], modules: ['fcgid'] },
        'apache-proxy-fcgi': { start: startApache, sample: 'apache/tollgate-proxy-fcgi.conf', needs: ['apache2', 'spawn-fcgi', 'mod_proxy_fcgi.so'], modules: ['proxy', 'proxy_fcgi'] },
        'apache-cgi': { start: startApache, sample: 'apache/tollgate-cgi.conf', needs: ['apache2', 'mod_cgid.so'], modules: ['cgid'], cgi: true },
        'apache-htaccess': { start: startApache, htaccess: 'apache/htaccess-shared-hosting', needs: ['apache2', 'mod_cgid.so'], modules: ['cgid', 'rewrite', 'mime', 'dir'], cgi: true },
};

/* Every kind, or those that TOLLGATE_SERVERS names, separated by spaces or commas. */
export const kinds = (process.env.TOLLGATE_SERVERS || Object.keys(kindTable).join(' ')).split(/[\s,]+/).filter(Boolean);
/* A process for each request: what outlives one can't be seen there. */
export const isCgi = (kind) => Boolean(kindTable[kind].cgi);

/* Why this kind can't run here, or null: for node:test's `skip`. */
export function missing(kind) {
        for (const need of kindTable[kind].needs) {
                const found = need.endsWith('.so') ? fs.existsSync(path.join(apacheModules, need)) : which(need);
                if (!found)
                        return `${need} is not installed`;
        }
        return fs.existsSync(path.join(buildDir, 'tollgate.fcgi')) ? null : `tollgate.fcgi was not built in ${buildDir}`;
}

/* Skips nothing where TOLLGATE_NEED_ALL is set (quickstart check): a missing part is then a failure. */
export function skipReason(kind) {
        const reason = missing(kind);
        if (reason && process.env.TOLLGATE_NEED_ALL)
                throw new Error(`${kind}: ${reason}`);
        return reason || false;
}

export function freePort() {
        return new Promise((resolve, reject) => {
                const probe = net.createServer();
                probe.once('error', reject);
                probe.listen(0, '127.0.0.1', () => {
                        const { port } = probe.address();
                        probe.close(() => resolve(port));
                });
        });
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* Calls `probe` until it returns something true, which is the result; throws after `ms`. */
export async function waitFor(probe, { ms = 15000, every = 50, what = 'the condition' } = {}) {
        const end = Date.now() + ms;
        let last;
        for (;;) {
                try {
                        const value = await probe();
                        if (value)
                                return value;
                } catch (error) {
                        last = error;
                }
                if (Date.now() > end)
                        throw new Error(`${what} did not come true within ${ms} ms${last ? `: ${last.message}` : ''}`);
                await sleep(every);
        }
}

const temporaryFolders = new Set();

/* A folder that the web server's user may read; gone when the process ends. */
export function tmpFolder(prefix = 'tollgate-') {
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), prefix));
        fs.chmodSync(folder, 0o755);
        temporaryFolders.add(folder);
        return folder;
}

export function removeFolder(folder) {
        temporaryFolders.delete(folder);
        fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

/* Makes a folder that belongs to the server's user, closed to others. */
export function ownFolder(folder) {
        fs.mkdirSync(folder, { mode: 0o700 });
        give(folder);
        return folder;
}

/* Writes a file whole, in one step, as an operator's editor does; readable for the server's user alone by default. */
export function writeFile(file, text, mode = 0o600) {
        const part = `${file}.part`;
        fs.writeFileSync(part, text, { mode });
        give(part);
        fs.renameSync(part, file);
        return file;
}

/*
 * Starts one server. `config`: path of a tollgate.conf (readable for the server's user: see writeFile). Optional:
 *   procs       processes of the responder, where lighttpd starts them (1)
 *   login       { user: password, … }: Basic in front, by the sample's own login block
 *   env         variables for the server, and for a responder that the harness starts itself
 *   program     what to run as the responder in place of tollgate.fcgi: a script that ends in exec "$TOLLGATE_REAL"
 *   ready       the status of /healthz to wait for (200); a broken configuration has 503
 * Returns { kind, baseUrl, port, folder, errorLog(), accessLog(), responderPids(), serverPid, stop() }.
 */
export async function startServer(kind, options) {
        const row = kindTable[kind];
        if (!row)
                throw new Error(`no such kind of server: ${kind}`);
        const reason = missing(kind);
        if (reason)
                throw new Error(`${kind}: ${reason}`);
        for (let attempt = 1; ; attempt++) {
                const server = prepare(kind, row, options, await freePort());
                try {
                        await row.start(server);
                        await ready(server, options.ready ?? 200);
                        return server;
                } catch (error) {
                        const log = server.errorLog();
                        await server.stop();
                        /* Another program may have taken the port between the look and the use. */
                        if (attempt < 5 && /address already in use/i.test(log))
                                continue;
                        error.message += `\n${kind} said:\n${log.slice(-4000)}`;
                        throw error;
                }
        }
}

function prepare(kind, row, options, port) {
        const folder = tmpFolder(`tollgate-${kind}-`);
        const server = {
                kind, row, port, folder, options, processes: [], output: '',
                baseUrl: `http://127.0.0.1:${port}/ai`,
                responder: path.join(folder, 'tollgate.fcgi'),
                socket: path.join(folder, 'run', 'tollgate.socket'),
                users: path.join(folder, 'users'),
                env: { PATH: process.env.PATH, LANG: 'C.UTF-8', ...options.env },
        };
        for (const name of ['run', 'log', 'htdocs']) {
                fs.mkdirSync(path.join(folder, name), { mode: 0o755 });
                give(path.join(folder, name));
        }
        fs.writeFileSync(path.join(folder, 'htdocs', 'index.html'), 'the vhost\n');
        /* Its own copy, as an installed one is: it can be read where the sources can't, and its processes can be told apart. */
        install(options.program ?? path.join(buildDir, 'tollgate.fcgi'), server.responder);
        if (options.program) {
                install(path.join(buildDir, 'tollgate.fcgi'), path.join(folder, 'tollgate.real'));
                server.env.TOLLGATE_REAL = path.join(folder, 'tollgate.real');
        }
        if (options.login)
                writeFile(server.users, Object.entries(options.login).map(([user, password]) => `${user}:{SHA}${createHash('sha1').update(password).digest('base64')}\n`).join(''));
        server.errorLog = () => readIfThere(path.join(folder, 'log', 'error.log')) + server.output;
        server.accessLog = () => readIfThere(path.join(folder, 'log', 'access.log'));
        server.responderPids = () => pidsOf(server.responder, path.join(folder, 'tollgate.real'));
        server.stop = once(() => stop(server));
        started.add(server);
        return server;
}

async function startLighttpd(server) {
        const { folder, options } = server;
        const q = (value) => JSON.stringify(value);
        const given = { ...options.env, ...(options.program ? { TOLLGATE_REAL: server.env.TOLLGATE_REAL } : {}) };
        /* The file that the sample reads paths of one's own from. */
        fs.writeFileSync(path.join(folder, 'tollgate-local.conf'), [
                `var.tollgate_fcgi := ${q(server.responder)}`,
                `var.tollgate_conf := ${q(options.config)}`,
                server.row.cgi ? '' : `var.tollgate_socket := ${q(server.socket)}`,
                options.procs ? `var.tollgate_procs := ${options.procs}` : '',
                `var.tollgate_users := ${q(server.users)}`,
                options.login ? `include ${q(path.join(sourceDir, 'lighttpd/tollgate-login.conf'))}` : '',
        ].join('\n') + '\n');
        fs.writeFileSync(path.join(folder, 'lighttpd.conf'), [
                `server.bind = "127.0.0.1"`, `server.port = ${server.port}`,
                `server.document-root = ${q(path.join(folder, 'htdocs'))}`,
                `server.errorlog = ${q(path.join(folder, 'log/error.log'))}`,
                `server.upload-dirs = ( ${q(path.join(folder, 'run'))} )`,
                `server.modules += ( "mod_accesslog" )`,
                `accesslog.filename = ${q(path.join(folder, 'log/access.log'))}`,
                serverUser ? `server.username = ${q(serverUser.name)}` : '',
                serverUser ? `server.groupname = ${q(serverUser.group)}` : '',
                `include ${q(path.join(sourceDir, server.row.sample))}`,
                /* As the sample says: lighttpd hands CGI programs nothing of its own environment. */
                ...(server.row.cgi && Object.keys(given).length > 0 ? [
                        '$HTTP["url"] =~ "^/ai(?:/|$)" {',
                        `setenv.set-environment += ( ${Object.entries(given).map(([name, value]) => `${q(name)} => ${q(value)}`).join(', ')} )`,
                        '}'] : []),
        ].join('\n') + '\n');
        server.main = run(server, which('lighttpd'), ['-D', '-f', path.join(folder, 'lighttpd.conf')]);
}

const apacheBase = ['mpm_event', 'authz_core', 'authz_user', 'authn_core', 'authn_file', 'auth_basic', 'alias', 'env', 'setenvif'];

async function startApache(server) {
        const { folder, options, row } = server;
        const given = { ...options.env, ...(options.program ? { TOLLGATE_REAL: server.env.TOLLGATE_REAL } : {}) };
        if (row.modules.includes('proxy_fcgi'))
                await startResponder(server);
        const lines = [
                `ServerRoot "${folder}"`, `ServerName 127.0.0.1`, `Listen 127.0.0.1:${server.port}`,
                `PidFile "${folder}/run/apache.pid"`, `Mutex file:${folder}/run default`, `DefaultRuntimeDir "${folder}/run"`,
                `ErrorLog "${folder}/log/error.log"`, `LogLevel info`, `EnableSendfile off`,
                ...[...apacheBase, ...row.modules].map((name) => `LoadModule ${name}_module "${apacheModules}/mod_${name}.so"`),
                ...(serverUser ? [`User ${serverUser.name}`, `Group ${serverUser.group}`] : []),
                ...(row.htaccess ? ['TypesConfig /dev/null'] : []),
                ...(row.modules.includes('cgid') ? [`ScriptSock "${folder}/run/cgid.socket"`] : []),
                ...(row.modules.includes('fcgid') ? [`FcgidIPCDir "${folder}/run/fcgid"`, `FcgidProcessTableFile "${folder}/run/fcgid_shm"`] : []),
                `DocumentRoot "${folder}/htdocs"`,
                `<Directory />`, `AllowOverride None`, `Require all denied`, `</Directory>`,
                `<Directory "${folder}/htdocs">`, `Require all granted`, `</Directory>`,
                `Define TOLLGATE_FCGI "${server.responder}"`, `Define TOLLGATE_CONF "${options.config}"`,
                `Define TOLLGATE_SOCKET "${server.socket}"`, `Define TOLLGATE_USERS "${server.users}"`,
                `Define TOLLGATE_LOG "${folder}/log/access.log"`,
                ...(options.login ? ['Define TOLLGATE_LOGIN'] : []),
                ...Object.entries(given).map(([name, value]) => (row.modules.includes('fcgid') ? `FcgidInitialEnv ${name} "${value}"` : `PassEnv ${name}`)),
                ...(row.htaccess ? htaccessLines(server) : [`Include "${path.join(sourceDir, row.sample)}"`]),
        ];
        fs.writeFileSync(path.join(folder, 'apache.conf'), lines.join('\n') + '\n');
        server.main = run(server, which('apache2'), ['-f', path.join(folder, 'apache.conf'), '-DFOREGROUND']);
}

/* A user's web folder as the sample's first lines say to make it, with the shipped files in it. */
function htaccessLines(server) {
        const web = path.join(server.folder, 'htdocs', 'ai');
        fs.mkdirSync(web);
        place(path.join(sourceDir, server.row.htaccess), path.join(web, '.htaccess'));
        place(path.join(sourceDir, 'apache/tollgate.cgi'), path.join(web, 'tollgate.cgi'));
        return [
                `SetEnv TOLLGATE_FCGI "${server.responder}"`, `SetEnv TOLLGATE_CONF "${server.options.config}"`,
                `LogFormat "%m %U %>s" plain`, `CustomLog "${server.folder}/log/access.log" plain`,
                `<Directory "${web}">`, `Options FollowSymLinks`, `AllowOverride All`, `</Directory>`,
                ...(server.options.login ? [
                        `<Location "/ai">`, `AuthType Basic`, `AuthName Tollgate`, `AuthUserFile "${server.users}"`,
                        `<RequireAny>`, `Require valid-user`, `Require expr "%{REQUEST_URI} =~ m#/healthz$#"`,
                        `Require expr "req('Authorization') =~ /^Bearer +[^ ]/i"`, `</RequireAny>`, `</Location>`] : []),
        ];
}

/* As systemd does by the socket unit: a listening UNIX socket as standard input, for the server's group only. */
async function startResponder(server) {
        const as = serverUser ? ['-u', serverUser.name, '-g', serverUser.group, '-U', serverUser.name, '-G', serverUser.group] : [];
        server.starter = run(server, which('spawn-fcgi'), ['-n', '-s', server.socket, '-M', '0660', '-b', '1024', ...as, '--', server.responder, '-c', server.options.config]);
        await waitFor(() => fs.existsSync(server.socket), { what: 'the responder\'s socket' });
}

function run(server, program, args) {
        const child = spawn(program, args, { env: server.env, cwd: server.folder, stdio: ['ignore', 'pipe', 'pipe'] });
        const keep = (bytes) => { server.output = (server.output + bytes).slice(-4 << 20); };
        child.stdout.on('data', keep);
        child.stderr.on('data', keep);
        child.on('error', (error) => keep(`${program}: ${error.message}\n`));
        child.gone = new Promise((resolve) => child.once('close', resolve));
        child.on('exit', () => { child.ended = true; });
        server.processes.push(child);
        return child;
}

async function ready(server, status) {
        await waitFor(async () => {
                if (server.main.ended)
                        return true;
                return (await probe(`${server.baseUrl}/healthz`)) === status;
        }, { ms: server.options.program ? 60000 : 20000, what: `${server.kind}: /ai/healthz` });
        if (server.main.ended)
                throw new Error(`${server.kind} ended at once`);
        server.serverPid = server.main.pid;
}

function probe(url) {
        return new Promise((resolve, reject) => {
                const request = http.get(url, { agent: false, timeout: 5000 }, (answer) => {
                        answer.resume();
                        answer.on('end', () => resolve(answer.statusCode));
                });
                request.on('timeout', () => request.destroy(new Error('no answer')));
                request.on('error', reject);
        });
}

async function stop(server) {
        const responders = server.responderPids();
        for (const child of [server.main, server.starter])
                if (child && !child.ended)
                        child.kill('SIGTERM');
        const ended = Promise.all(server.processes.map((child) => child.gone));
        const late = setTimeout(() => {
                for (const child of server.processes)
                        if (!child.ended)
                                child.kill('SIGKILL');
                server.responderPids().forEach((pid) => signal(pid, 'SIGKILL'));
        }, server.options.program ? 30000 : 10000);
        for (const pid of responders)
                signal(pid, 'SIGTERM');
        await ended;
        await waitFor(() => server.responderPids().length === 0, { ms: server.options.program ? 30000 : 10000 })
                .catch(() => server.responderPids().forEach((pid) => signal(pid, 'SIGKILL')));
        clearTimeout(late);
        server.lastErrorLog = server.errorLog();
        server.lastAccessLog = server.accessLog();
        server.errorLog = () => server.lastErrorLog;
        server.accessLog = () => server.lastAccessLog;
        started.delete(server);
        removeFolder(server.folder);
}

/* ---- small things ---- */

function once(fn) {
        let result;
        return () => (result ??= fn());
}

export function signal(pid, name) {
        try {
                process.kill(pid, name);
                return true;
        } catch {
                return false;
        }
}

/* Processes that run one of these programs, by their arguments: a script's or valgrind's count as well. */
function pidsOf(...programs) {
        return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((pid) => {
                const args = readIfThere(`/proc/${pid}/cmdline`).split('\0');
                return !/\/(spawn-fcgi|lighttpd|apache2)$/.test(args[0]) && programs.some((program) => args.includes(program));
        }).map(Number).filter((pid) => !/^State:\s+Z/m.test(readIfThere(`/proc/${pid}/status`)));
}

/* Its command line goes first when a process dies, and its files, with their locks, a little later. */
export const lives = (pid) => /^State:\s+[^ZX]/m.test(readIfThere(`/proc/${pid}/status`));

function readIfThere(file) {
        try {
                return fs.readFileSync(file, 'utf8');
        } catch {
                return '';
        }
}

export function which(program) {
        for (const folder of [...(process.env.PATH || '').split(':'), '/usr/sbin', '/usr/local/sbin', '/sbin']) {
                const file = path.join(folder || '.', program);
                if (fs.existsSync(file))
                        return file;
        }
        return null;
}

function firstUser(names) {
        for (const name of names) {
                try {
                        const id = (flags) => execFileSync('id', [...flags, name], { stdio: ['ignore', 'pipe', 'ignore'] }).toString().trim();
                        return { name, uid: Number(id(['-u'])), gid: Number(id(['-g'])), group: id(['-gn']) };
                } catch {
                        continue;
                }
        }
        throw new Error('no user for the web server to run as');
}

/* To the server's user. */
function give(file) {
        if (serverUser)
                fs.chownSync(file, serverUser.uid, serverUser.gid);
}

function install(from, to) {
        fs.copyFileSync(from, to);
        fs.chmodSync(to, 0o755);
}

/* The file itself where the server's user can reach it, else a copy. */
function place(from, to) {
        const reachable = from.split('/').reduce((state, part) => {
                const at = path.join(state.at, part || '/');
                return { at, ok: state.ok && (fs.statSync(at).mode & 0o001 || (at === from && fs.statSync(at).mode & 0o004)) };
        }, { at: '/', ok: true }).ok;
        if (reachable || !isRoot)
                fs.symlinkSync(from, to);
        else
                install(from, to);
}

/* ---- whatever happens, nothing stays behind ---- */

const started = new Set();
process.on('exit', () => {
        for (const server of started) {
                const pids = server.responderPids();
                for (const child of server.processes)
                        if (!child.ended)
                                child.kill('SIGTERM');
                pids.forEach((pid) => signal(pid, 'SIGTERM'));
        }
        for (const folder of temporaryFolders)
                fs.rmSync(folder, { recursive: true, force: true });
});
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'])
        process.once(name, () => process.exit(1));
