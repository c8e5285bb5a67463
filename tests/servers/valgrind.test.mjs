/* The responder under valgrind, behind lighttpd: 200 mixed requests, then no error and nothing lost. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { skipReason, sleep, startServer, which } from './harness.mjs';
import { leaveStream, mix, mixedWorld } from './mixed.mjs';

const kind = 'lighttpd-fastcgi';

it('200 mixed requests under valgrind', { skip: skipReason(kind) || (!which('valgrind') && 'valgrind is not installed'), timeout: 600000 }, async () => {
        const { folder, config, upstream, headers } = await mixedWorld();
        const logs = path.join(folder.folder, 'valgrind');
        fs.mkdirSync(logs);
        fs.chmodSync(logs, 0o777);
        const program = path.join(folder.folder, 'under-valgrind');
        fs.writeFileSync(program, `#!/bin/sh\n# Set: the responder does not start itself again, out of valgrind's sight.\nGLIBC_TUNABLES= exec '${which('valgrind')}' --leak-check=full --show-leak-kinds=definite,indirect --num-callers=30 `
                                + `--log-file='${logs}/%p' "$TOLLGATE_REAL" "$@"\n`, { mode: 0o755 });
        const server = await startServer(kind, { config, program });
        try {
                const wrong = [];
                let sent = 0;
                for (let batch = 0; sent < 196; batch++) {
                        await Promise.all(mix.slice(0, Math.min(mix.length, 196 - sent)).map(async ([status, send], i) => {
                                sent++;
                                const answer = await send(server.baseUrl, headers);
                                if (answer.status !== status)
                                        wrong.push(`request ${i} of the mix: ${answer.status}, not ${status}: ${answer.text.slice(0, 300)}`);
                        }));
                }
                /* And clients that leave in the middle of a stream. */
                for (let i = 0; i < 4; i++, sent++)
                        await leaveStream(server.baseUrl, headers);
                assert.equal(sent, 200);
                await sleep(2000);
                const pids = server.responderPids();
                await server.stop();
                assert.deepEqual([...new Set(wrong)], []);
                assert.equal(pids.length, 1);
                const log = fs.readFileSync(path.join(logs, String(pids[0])), 'utf8');
                assert.match(log, /ERROR SUMMARY: 0 errors/, log);
                if (!/All heap blocks were freed/.test(log)) {
                        assert.match(log, /definitely lost: 0 bytes/, log);
                        assert.match(log, /indirectly lost: 0 bytes/, log);
                }
                assert.equal(fs.readdirSync(logs).length, 1, 'one process served all: none died');
        } finally {
                await server.stop();
                await upstream.stop();
        }
});
