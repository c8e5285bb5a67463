/* What no request shows: a responder on TCP, and what the samples promise about sockets, units and wrappers. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { buildDir, freePort, sourceDir, waitFor, which } from './harness.mjs';
import { configFolder, configText, model } from './gate.mjs';

const sample = (name) => readFileSync(path.join(sourceDir, name), 'utf8');
const echo = '{ name = "echo"; dialect = "echo"; }';

const ask = (port, variables) => new Promise((resolve, reject) => {
        const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hello' }] });
        const child = spawn('cgi-fcgi', ['-bind', '-connect', `127.0.0.1:${port}`], {
                env: {
                        PATH: process.env.PATH, GATEWAY_INTERFACE: 'CGI/1.1', REQUEST_METHOD: 'POST', SCRIPT_NAME: '/ai', PATH_INFO: '/v1/chat/completions',
                        CONTENT_TYPE: 'application/json', CONTENT_LENGTH: String(body.length), HTTP_HOST: 'gate', ...variables,
                },
        });
        let out = '';
        child.stdout.on('data', (bytes) => out += bytes);
        child.on('error', reject);
        child.on('close', () => resolve(Number(/^Status: (\d+)/.exec(out)?.[1])));
        child.stdin.on('error', () => {});
        child.stdin.end(body);
});

describe('a responder on TCP', { skip: !which('spawn-fcgi') || !which('cgi-fcgi') ? 'spawn-fcgi or cgi-fcgi is not installed' : false }, () => {
        const login = { REMOTE_USER: 'alice', AUTH_TYPE: 'Basic' };
        const certificate = { SSL_CLIENT_VERIFY: 'SUCCESS', SSL_CLIENT_S_DN: 'CN=desk,O=Example' };
        for (const trust of [false, true])
                it(trust ? 'believes the web server where that is configured' : 'believes no login and no certificate', async () => {
                        const folder = configFolder();
                        const file = folder.file('tollgate.conf', configText({
                                settings: trust ? 'trust_web_server = true;' : '', providers: [echo], models: [model('m', [['echo', 'echo']], ['chat'])],
                                accounts: ['{ name = "staff"; models = ["*"]; users = ["*"]; }', '{ name = "desk"; models = ["*"]; certificates = ( { subject = "CN=desk,O=Example"; } ); }'],
                        }));
                        const port = await freePort();
                        const child = spawn('spawn-fcgi', ['-n', '-a', '127.0.0.1', '-p', String(port), '--', path.join(buildDir, 'tollgate.fcgi'), '-c', file, '-w', '4'], { stdio: 'ignore' });
                        const ended = new Promise((resolve) => child.on('close', resolve));
                        try {
                                await waitFor(() => new Promise((resolve) => {
                                        const s = net.connect(port, '127.0.0.1', () => resolve(s.destroy() && true)).on('error', () => resolve(false));
                                }), { what: 'the responder' });
                                assert.equal(await ask(port, login), trust ? 200 : 401);
                                assert.equal(await ask(port, certificate), trust ? 200 : 401);
                        } finally {
                                child.kill('SIGTERM');
                                await ended;
                        }
                });
});

describe('the samples', () => {
        it('open the socket for the web server\'s group alone', () => assert.match(sample('apache/tollgate.socket'), /^SocketMode=0660$/m));

        it('run the responder as a user of its own that can do little', () => {
                const unit = sample('apache/tollgate.service');
                for (const line of ['User=tollgate', 'StateDirectory=tollgate', 'NoNewPrivileges=yes', 'ProtectSystem=strict', 'LimitCORE=0'])
                        assert.ok(unit.split('\n').includes(line), line);
                assert.match(unit, /^LoadCredential=/m);
                assert.match(unit, /^LimitNOFILE=\d+$/m);
                /* The responder drains for 30 s. */
                assert.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)[1]) > 30);
        });

        it('pass no arguments on', () => {
                for (const name of ['apache/tollgate.cgi', 'apache/tollgate-cgi.conf', 'lighttpd/tollgate-cgi.conf'])
                        assert.doesNotMatch(sample(name).replace(/^\s*#.*$/gm, ''), /\$[@*]|"\$\{@/, name);
        });

        it('let credentials and streams through', () => {
                const wanted = {
                        'lighttpd/tollgate.conf': [/server\.stream-response-body\s*=\s*2/],
                        'apache/tollgate-fcgid.conf': [/FcgidOutputBufferSize\s+0/, /FcgidMaxRequestLen/, /FcgidIOTimeout/, /FcgidBusyTimeout/, /FcgidPassHeader\s+Authorization/],
                        'apache/tollgate-proxy-fcgi.conf': [/flushpackets=on/, /enablereuse=off/, /CGIPassAuth\s+On/],
                        'apache/tollgate-cgi.conf': [/CGIPassAuth\s+On/],
                };
                for (const [name, patterns] of Object.entries(wanted))
                        for (const pattern of patterns)
                                assert.match(sample(name).replace(/^\s*#.*$/gm, ''), pattern, name);
        });
});
