/* The responder under ThreadSanitizer, behind lighttpd: mixed requests at once, clients that leave, a configuration that
 * changes and breaks meanwhile, and an end in good order. Run by the suite `tsan`, with a build made for it. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { skipReason, sleep, startServer } from './harness.mjs';
import { leaveStream, mix, mixedWorld } from './mixed.mjs';

const kind = 'lighttpd-fastcgi';
const requests = process.env.SOAK === '1' ? 20000 : 2000, atOnce = 24;

it(`${requests} requests, ${atOnce} at once, without a race`, { skip: skipReason(kind) || (!process.env.TOLLGATE_TSAN && 'TOLLGATE_TSAN names no build'), timeout: 900000 }, async () => {
        const { folder, config, upstream, headers } = await mixedWorld(atOnce + 8);
        const logs = path.join(folder.folder, 'tsan');
        fs.mkdirSync(logs);
        fs.chmodSync(logs, 0o777);
        const program = path.join(folder.folder, 'under-tsan');
        fs.writeFileSync(program, `#!/bin/sh\nTSAN_OPTIONS='log_path=${logs}/report exitcode=66' GLIBC_TUNABLES= exec '${process.env.TOLLGATE_TSAN}/tollgate.fcgi' "$@"\n`, { mode: 0o755 });
        const server = await startServer(kind, { config, program });
        const good = fs.readFileSync(config, 'utf8');
        let round = 0, changing = true;
        const change = (async () => {
                for (; changing; round++) {
                        fs.writeFileSync(config, round % 4 === 2 ? `${good}\nnonsense` : `${good}\n# ${round}\n`);
                        await sleep(1100);
                }
        })();
        try {
                const wrong = new Set();
                let sent = 0;
                const client = async () => {
                        while (sent < requests || round < 5) {
                                const n = sent++, [status, send] = mix[n % mix.length];
                                if (n % 50 === 49) {
                                        await leaveStream(server.baseUrl, headers);
                                        continue;
                                }
                                const answer = await send(server.baseUrl, headers);
                                if (answer.status !== status)
                                        wrong.add(`${n % mix.length}: ${answer.status}, not ${status}: ${answer.text.slice(0, 200)}`);
                        }
                };
                await Promise.all(Array.from({ length: atOnce }, client));
                changing = false;
                await change;
                assert.ok(round >= 3, `the configuration changed ${round} times`);
                await server.stop();
                assert.deepEqual([...wrong], []);
                assert.deepEqual(fs.readdirSync(logs).map((f) => fs.readFileSync(path.join(logs, f), 'utf8')), []);
        } finally {
                changing = false;
                await server.stop();
                await upstream.stop();
        }
});
