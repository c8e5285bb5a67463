// The ledger, read as it is written: rows of SQLite's own, and what `tollgate` says of them.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { buildDir, waitFor } from './harness.mjs';

const sqlite = await import('node:sqlite');

// Integers are numbers where they fit, else BigInts.
const plain = (row) => Object.fromEntries(Object.entries(row).map(([k, v]) => [k, typeof v === 'bigint' && Number.isSafeInteger(Number(v)) ? Number(v) : v]));

// [] while there is no ledger yet.
export const query = (file, sql, ...values) => {
        if (!existsSync(file))
                return [];
        const db = new sqlite.DatabaseSync(file, { readOnly: true, timeout: 20000 });
        try {
                const statement = db.prepare(sql);
                statement.setReadBigInts(true);
                return statement.all(...values).map(plain);
        } finally {
                db.close();
        }
};

// The row of a request as its caller named it, with its attempts, once it is there.
export const rowOf = async (file, id, ms = 30000) => {
        const [row] = await waitFor(() => {
                const found = query(file, 'SELECT * FROM requests WHERE request_id = ?', id);
                return found.length && found;
        }, { ms, what: `a row of ${id}` });
        return { ...row, tries: query(file, 'SELECT * FROM attempts WHERE request = ? ORDER BY n', row.id) };
};

// `tollgate COMMAND ARGUMENTS -c CONFIG`: { stdout, stderr }; throws where it fails.
export const tollgate = (config, command, ...args) =>
        promisify(execFile)(path.join(buildDir, 'tollgate'), [command, ...args, '-c', config.file], { env: { ...process.env, ...config.env }, maxBuffer: 64 << 20 });
