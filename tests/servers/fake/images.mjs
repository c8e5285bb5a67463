// Small pictures with a size of their own, made from nothing.
import { crc32, deflateSync } from 'node:zlib';

const chunk = (type, data) => {
        const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
        const out = Buffer.alloc(body.length + 8);
        out.writeUInt32BE(data.length, 0);
        body.copy(out, 4);
        out.writeUInt32BE(crc32(body), body.length + 4);
        return out;
};

export const png = (width = 3, height = 2, colour = [200, 30, 30]) => {
        const head = Buffer.alloc(13);
        head.writeUInt32BE(width, 0);
        head.writeUInt32BE(height, 4);
        head.set([8, 2, 0, 0, 0], 8);
        const row = Buffer.concat([Buffer.from([0]), Buffer.concat(Array.from({ length: width }, () => Buffer.from(colour)))]);
        return Buffer.concat([
                Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(Buffer.concat(Array.from({ length: height }, () => row)))),
                chunk('IEND', Buffer.alloc(0)),
        ]);
};

export const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');

export const pdf = Buffer.from('%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n'
        + 'trailer<</Root 1 0 R>>\n%%EOF\n');

export const dataUrl = (bytes, type = 'image/png') => `data:${type};base64,${bytes.toString('base64')}`;
