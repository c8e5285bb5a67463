// A small checker for request bodies: a schema is a function (value, path, out) that pushes {path, message} for all that
// the provider's documents do not allow. Unknown members are violations unless an object is open.

const kind = (v) => (v === null ? 'null' : Array.isArray(v) ? 'array' : typeof v);
const fail = (out, path, message) => out.push({ path, message });
const join = (path, name) => (path ? `${path}.${name}` : name);

export const any = () => {};

export const string = ({ min = 0, max = Infinity, pattern, values } = {}) => (v, path, out) => {
        if (typeof v !== 'string')
                return fail(out, path, `expected a string, got ${kind(v)}`);
        if (v.length < min)
                fail(out, path, min === 1 ? 'expected a string that is not empty' : `shorter than ${min}`);
        if (v.length > max)
                fail(out, path, `longer than ${max}`);
        if (pattern && !pattern.test(v))
                fail(out, path, `'${v.slice(0, 80)}' does not match ${pattern}`);
        if (values && !values.includes(v))
                fail(out, path, `'${v.slice(0, 80)}' is none of ${values.join(', ')}`);
};

export const number = ({ min = -Infinity, max = Infinity, above = -Infinity, integer = false } = {}) => (v, path, out) => {
        if (typeof v !== 'number' || (integer && !Number.isInteger(v)))
                return fail(out, path, `expected ${integer ? 'an integer' : 'a number'}, got ${kind(v)}`);
        if (v < min || v > max || v <= above)
                fail(out, path, `${v} is out of range`);
};

export const integer = (limits = {}) => number({ ...limits, integer: true });

export const boolean = (v, path, out) => {
        if (typeof v !== 'boolean')
                fail(out, path, `expected a boolean, got ${kind(v)}`);
};

export const literal = (...values) => (v, path, out) => {
        if (!values.includes(v))
                fail(out, path, `${JSON.stringify(v)} is none of ${JSON.stringify(values)}`);
};

export const nullable = (schema) => (v, path, out) => (v === null ? undefined : schema(v, path, out));

export const array = (item, { min = 0, max = Infinity } = {}) => (v, path, out) => {
        if (!Array.isArray(v))
                return fail(out, path, `expected an array, got ${kind(v)}`);
        if (v.length < min)
                fail(out, path, v.length === 0 ? 'expected an array that is not empty' : `fewer than ${min} items`);
        if (v.length > max)
                fail(out, path, `more than ${max} items`);
        v.forEach((e, i) => item(e, `${path}[${i}]`, out));
};

export const map = (value) => (v, path, out) => {
        if (kind(v) !== 'object')
                return fail(out, path, `expected an object, got ${kind(v)}`);
        for (const [k, e] of Object.entries(v))
                value(e, join(path, k), out);
};

// Fields whose name ends in `!` are required. camel: snake_case spellings count too (proto3 JSON).
export const object = (fields, { open = false, camel = false, check } = {}) => {
        const table = new Map(Object.entries(fields).map(([k, s]) => [k.replace('!', ''), s]));
        const required = Object.keys(fields).filter((k) => k.endsWith('!')).map((k) => k.slice(0, -1));
        return (v, path, out) => {
                if (kind(v) !== 'object')
                        return fail(out, path, `expected an object, got ${kind(v)}`);
                const seen = new Set();
                for (const [k, e] of Object.entries(v)) {
                        const name = camel ? k.replace(/_([a-z])/g, (_, c) => c.toUpperCase()) : k;
                        if (seen.has(name))
                                fail(out, join(path, k), 'given in two spellings');
                        seen.add(name);
                        const schema = table.get(name);
                        if (schema)
                                schema(e, join(path, k), out);
                        else if (!open)
                                fail(out, join(path, k), 'unknown field');
                }
                for (const name of required)
                        if (!seen.has(name))
                                fail(out, join(path, name), 'required field is missing');
                check?.(v, path, out);
        };
};

// One of several objects, told apart by a member.
export const tagged = (key, variants, { absent } = {}) => (v, path, out) => {
        if (kind(v) !== 'object')
                return fail(out, path, `expected an object, got ${kind(v)}`);
        const tag = v[key] ?? absent;
        const schema = Object.hasOwn(variants, String(tag)) ? variants[tag] : undefined;
        if (!schema)
                return fail(out, join(path, key), `'${tag}' is none of ${Object.keys(variants).join(', ')}`);
        schema(v, path, out);
};

// By the JSON type of the value: { string: …, array: …, object: … }.
export const byType = (variants) => (v, path, out) => {
        const schema = variants[kind(v)];
        if (!schema)
                return fail(out, path, `expected ${Object.keys(variants).join(' or ')}, got ${kind(v)}`);
        schema(v, path, out);
};

export const base64 = (v, path, out) => {
        if (typeof v !== 'string')
                return fail(out, path, `expected base64, got ${kind(v)}`);
        if (v.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(v))
                fail(out, path, 'is no standard base64');
};

// The types that bytes themselves say they are.
export const sniff = (b64) => {
        const b = Buffer.from(b64.slice(0, 64), 'base64');
        if (b.subarray(0, 8).equals(Buffer.from('89504e470d0a1a0a', 'hex')))
                return 'image/png';
        if (b.subarray(0, 3).equals(Buffer.from('ffd8ff', 'hex')))
                return 'image/jpeg';
        if (b.subarray(0, 4).toString('latin1') === 'GIF8')
                return 'image/gif';
        if (b.subarray(0, 4).toString('latin1') === 'RIFF' && b.subarray(8, 12).toString('latin1') === 'WEBP')
                return 'image/webp';
        if (b.subarray(0, 5).toString('latin1') === '%PDF-')
                return 'application/pdf';
        return null;
};

export const imageBytes = (mediaType, data, path, out) => {
        if (typeof data !== 'string')
                return;
        const real = sniff(data);
        if (!real)
                fail(out, path, 'could not be decoded as an image');
        else if (mediaType !== real && !(mediaType === 'image/jpg' && real === 'image/jpeg'))
                fail(out, path, `is ${real}, but was called ${mediaType}`);
};

// Every JSON Schema object within a schema, with its path.
export const walkSchema = (s, path, visit) => {
        if (kind(s) !== 'object')
                return;
        visit(s, path);
        for (const k of ['properties', '$defs', 'definitions'])
                if (kind(s[k]) === 'object')
                        for (const [n, e] of Object.entries(s[k]))
                                walkSchema(e, `${path}.${k}.${n}`, visit);
        for (const k of ['items', 'additionalProperties', 'not'])
                if (kind(s[k]) === 'object')
                        walkSchema(s[k], `${path}.${k}`, visit);
        for (const k of ['anyOf', 'oneOf', 'allOf', 'prefixItems'])
                if (Array.isArray(s[k]))
                        s[k].forEach((e, i) => walkSchema(e, `${path}.${k}[${i}]`, visit));
};

const types = ['string', 'number', 'integer', 'boolean', 'array', 'object', 'null'];

export const jsonSchema = (v, path, out) => {
        if (kind(v) !== 'object')
                return fail(out, path, `expected a JSON Schema, got ${kind(v)}`);
        walkSchema(v, path, (s, p) => {
                const list = s.type === undefined ? [] : [s.type].flat();
                for (const t of list)
                        if (!types.includes(t))
                                fail(out, `${p}.type`, `'${t}' is no JSON Schema type`);
                if (s.required !== undefined && !(Array.isArray(s.required) && s.required.every((e) => typeof e === 'string')))
                        fail(out, `${p}.required`, 'is no list of names');
        });
};

export { fail };
