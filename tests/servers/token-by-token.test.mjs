// Through each server the first event reaches the client before the provider sends the second.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adapters } from './adapters.mjs';
import { callerKey, upstream } from './config.mjs';
import { gate } from './fake/provider.mjs';
import { targets } from './matrix.mjs';
import { eachServer } from './suite.mjs';

eachServer('token by token', {}, (s) => {
        for (const sdk of Object.values(adapters))
                for (const [dialect, model] of targets)
                        test(`${sdk.name} SDK from ${dialect}`, async () => {
                                const name = upstream[model][1];
                                const gates = [1, 2, 3].map(() => gate());
                                s.fake.script(name, { chunks: ['one ', 'two ', 'three ', 'four'], gates: { 1: gates[0].promise, 2: gates[1].promise, 3: gates[2].promise } });
                                const heard = [];
                                const timer = setTimeout(() => gates.forEach((g) => g.open()), 5000);
                                const r = await sdk.ask(sdk.client(s.url, callerKey), {
                                        model, turns: [{ user: 'Count' }], stream: true,
                                        onText: (t) => {
                                                heard.push({ text: t, sent: s.fake.last(name).sent.filter((f) => f.content).length });
                                                gates[heard.length - 1]?.open();
                                        },
                                });
                                clearTimeout(timer);
                                assert.equal(r.text, 'one two three four');
                                assert.deepEqual(heard, ['one ', 'two ', 'three ', 'four'].map((text, i) => ({ text, sent: i + 1 })));
                        });
});
