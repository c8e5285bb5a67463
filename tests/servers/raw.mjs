// HTTP by hand, for requests that no client would send.
import net from 'node:net';

// Sends the bytes, reads to the end (or ms), and takes the answer apart: { status, headers, body, json, closed }.
export const raw = (port, bytes, { ms = 10000, end = false } = {}) => new Promise((resolve, reject) => {
        const socket = net.connect(port, '127.0.0.1');
        const chunks = [];
        const timer = setTimeout(() => done(false), ms);
        const done = (closed) => {
                clearTimeout(timer);
                socket.destroy();
                const all = Buffer.concat(chunks).toString('latin1');
                const split = all.indexOf('\r\n\r\n');
                const [line = '', ...lines] = all.slice(0, split < 0 ? 0 : split).split('\r\n');
                const headers = lines.map((l) => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 1).trim()]);
                const chunked = headers.some(([k, v]) => k === 'transfer-encoding' && /chunked/i.test(v));
                let body = split < 0 ? '' : all.slice(split + 4);
                if (chunked)
                        body = unchunk(body);
                let json;
                try {
                        json = JSON.parse(Buffer.from(body, 'latin1').toString('utf8'));
                } catch {
                        json = undefined;
                }
                resolve({ status: Number(line.split(' ')[1]) || 0, headers, body, json, closed, all });
        };
        socket.on('connect', async () => {
                for (const part of [bytes].flat()) {
                        if (socket.destroyed)
                                break;
                        if (!socket.write(part))
                                await new Promise((r) => (socket.once('drain', r), socket.once('close', r)));
                }
                if (end)
                        socket.end();
        });
        socket.on('data', (c) => chunks.push(c));
        socket.on('close', () => done(true));
        socket.on('error', (e) => (chunks.length || ['EPIPE', 'ECONNRESET'].includes(e.code) ? done(true) : reject(e)));
});

const unchunk = (text) => {
        let out = '';
        for (let at = 0; ;) {
                const eol = text.indexOf('\r\n', at);
                const size = eol < 0 ? 0 : parseInt(text.slice(at, eol), 16);
                if (!size)
                        return out;
                out += text.slice(eol + 2, eol + 2 + size);
                at = eol + 2 + size + 2;
        }
};

export const post = (path, headers, body, length) => Buffer.concat([
        Buffer.from([`POST ${path} HTTP/1.1`, 'Host: 127.0.0.1', 'Connection: close', ...Object.entries(headers).map(([k, v]) => `${k}: ${v}`),
                ...(length === null ? [] : [`Content-Length: ${length ?? Buffer.byteLength(body)}`]), '', ''].join('\r\n'), 'latin1'),
        Buffer.from(body),
]);
