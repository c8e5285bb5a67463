'use strict';
/* The status page: what is now every two seconds, history every fifteen; nothing while nobody looks. */
(() => {
  const $ = (selector) => document.querySelector(selector);
  document.documentElement.classList.add('js');
  const SVG = 'http://www.w3.org/2000/svg', NOW_MS = 2000, HISTORY_MS = 15000;
  const el = (name, props = {}, ...children) => {
    const e = Object.assign(document.createElement(name), props);
    e.append(...children);
    return e;
  };
  const svg = (name, attributes, text) => {
    const e = document.createElementNS(SVG, name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const count = (n) => n >= 1e9 ? `${(n / 1e9).toFixed(1)}G` : n >= 1e7 ? `${(n / 1e6).toFixed(1)}M` : n >= 1e4 ? `${(n / 1e3).toFixed(1)}k` : String(n);
  const share = (part, whole) => whole ? `${(100 * part / whole).toFixed(1)} %` : '–';
  const ms = (n) => n ? n < 1000 ? `${Math.round(n)} ms` : `${(n / 1000).toFixed(2)} s` : '–';
  const money = (costs) => costs.length ? costs.map((c) => `${c.amount} ${c.currency}`).join(' + ') : '0';

  const get = async (path) => {
    const response = await fetch(new URL(path, location.href), { headers: { accept: 'application/json' } });
    if (!response.ok) throw new Error(response.status === 403 || response.status === 401 ? 'This is for operators only.' : `The gateway answers ${response.status}.`);
    return response.json();
  };
  const problem = $('#problem');
  const trying = async (what) => {
    try {
      await what();
      problem.hidden = true;
    } catch (e) {
      problem.textContent = e instanceof TypeError ? 'The gateway can’t be reached.' : e.message;
      problem.hidden = false;
    }
  };

  /* ---- now ---- */
  const tile = (name, value, kind) => el('div', {}, el('dt', { textContent: name }), el('dd', { textContent: value, className: kind ?? '' }));
  const bar = (name, text, used, max) => {
    const meter = el('meter', { min: 0, max, low: max * 0.8, high: max * 0.95, optimum: 0, value: Math.min(used, max) });
    meter.setAttribute('aria-label', `${name}: ${text}`);
    return el('div', { className: 'bar' }, el('div', { className: 'head' }, el('span', { textContent: name }), el('span', { textContent: text })), meter);
  };
  const limitNames = { rpm: 'requests a minute', tpm: 'tokens a minute', rpd: 'requests a day', tpd: 'tokens a day', concurrent: 'at the same time', queue: 'waiting' };
  const limitBars = (row, what) => Object.entries(row.limits).filter(([kind, l]) => l.max !== null && (kind !== 'queue' || l.used))
    .map(([kind, l]) => bar(`${what} ${row.name}: ${limitNames[kind]}`, `${count(l.used ?? 0)} of ${count(l.max)}${l.reset_seconds ? `, free in ${Math.ceil(l.reset_seconds)} s` : ''}`, l.used ?? 0, l.max));
  const budgetBars = (b) => [['day', b.day], ['month', b.month]].filter(([, x]) => x?.limit)
    .map(([period, x]) => bar(`Budget of ${b.account}: ${period}`, `${x.used ?? 'not yet known'} of ${x.limit} ${b.currency}`, Number(x.used ?? 0), Number(x.limit)))
    .concat(b.balance ? [bar(`Balance of ${b.account}`, `${b.balance.left ?? 'not yet known'} of ${b.balance.topped_up} ${b.currency} left`, Number(b.balance.topped_up) - Number(b.balance.left ?? b.balance.topped_up), Number(b.balance.topped_up) || 1)] : []);

  const state = (t) => {
    if (!t.in_service) return ['out of service: ' + t.out_of_service, 'bad'];
    if (t.breaker && t.breaker.state !== 'closed') return [`circuit ${t.breaker.state}: ${[t.breaker.cause, t.breaker.status || '', t.breaker.why ?? ''].filter(Boolean).join(', ')}${t.breaker.left_seconds ? `; next try in ${Math.ceil(t.breaker.left_seconds)} s` : ''}`, 'bad'];
    if (t.cooling) return [`cooling down: ${[t.cooling.cause, t.cooling.why].filter(Boolean).join(', ')}, ${Math.ceil(t.cooling.left_seconds)} s more`, 'warn'];
    return ['in service', ''];
  };
  const showNow = (s) => {
    const sum = (list, pick) => list.reduce((n, x) => n + (pick(x) ?? 0), 0);
    const troubled = s.targets.filter((t) => state(t)[1]).length;
    $('#tiles').replaceChildren(
      tile('In flight', sum(s.targets, (t) => t.in_flight)), tile('Waiting', sum(s.accounts, (a) => a.waiting) + sum(s.targets, (t) => t.waiting)),
      tile('Targets in service', `${s.targets.length - troubled} of ${s.targets.length}`, troubled ? 'warn' : ''), tile('Accounts', s.accounts.length));
    const bars = [...(s.budgets ?? []).flatMap(budgetBars), ...s.accounts.flatMap((a) => [...limitBars(a, 'Account'), ...(a.callers ?? []).flatMap((c) => limitBars(c, 'Caller'))]),
                  ...s.providers.flatMap((p) => limitBars(p, 'Provider')), ...s.targets.flatMap((t) => limitBars(t, 'Target'))];
    $('#limits').replaceChildren(...(bars.length ? bars.slice(0, 60) : [el('p', { className: 'note', textContent: 'Nothing is limited.' })]));
    $('#targets').replaceChildren(...s.targets.map((t) => {
      const [text, kind] = state(t);
      return el('tr', {}, el('td', { textContent: t.name }), el('td', { textContent: t.in_flight ?? 0 }), el('td', { textContent: ms(t.first_token?.average_ms) }),
                el('td', { textContent: t.breaker ? `${t.breaker.calls ?? 0}, ${t.breaker.failed ?? 0}` : '–' }), el('td', { textContent: text, className: `text ${kind}` }));
    }));
  };

  /* ---- charts ---- */
  const W = 560, H = 190, LEFT = 54, BOTTOM = 22, TOP = 10;
  const nice = (most) => {
    if (most <= 0) return 1;
    const unit = 10 ** Math.floor(Math.log10(most));
    return [1, 2, 5, 10].map((f) => f * unit).find((n) => n >= most);
  };
  const timeLabel = (key, range) => range === 'month' ? key.slice(5) : key.slice(11);

  /* series: [{ name, values, kind: "bar" | "line", style: "" | "b" }], all of the same length as keys. */
  const chart = (title, keys, range, series, format) => {
    const stacked = keys.map((_, i) => series.reduce((n, s) => n + (s.stack ? s.values[i] : 0), 0));
    const top = nice(Math.max(0, ...stacked, ...series.flatMap((s) => s.values))), plot = W - LEFT - 6, step = plot / Math.max(1, keys.length);
    const y = (v) => TOP + (H - TOP - BOTTOM) * (1 - v / top), x = (i) => LEFT + (i + 0.5) * step;
    const picture = svg('svg', { viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': `${title}: chart; the table below has its numbers` });
    for (const part of [0, 0.5, 1]) {
      picture.append(svg('line', { class: 'grid', x1: LEFT, x2: W - 6, y1: y(top * part), y2: y(top * part) }),
                     svg('text', { x: LEFT - 6, y: y(top * part) + 4, 'text-anchor': 'end' }, format(top * part)));
    }
    const every = Math.max(1, Math.ceil(keys.length / 7));
    keys.forEach((key, i) => {
      if (i % every === 0) picture.append(svg('text', { x: x(i), y: H - 6, 'text-anchor': 'middle' }, timeLabel(key, range)));
    });
    const floor = keys.map(() => 0);
    for (const s of series) {
      if (s.kind === 'line') {
        let d = '', drawing = false;
        s.values.forEach((v, i) => {
          if (v) d += `${drawing ? 'L' : 'M'}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
          drawing = Boolean(v);
        });
        picture.append(svg('path', { class: `line ${s.style ?? ''}`, d: d || 'M0 0' }));
        s.values.forEach((v, i) => {
          if (v && !s.values[i - 1] && !s.values[i + 1]) picture.append(svg('circle', { class: `fill ${s.style ?? ''}`, cx: x(i), cy: y(v), r: 2.5 }));
        });
        continue;
      }
      s.values.forEach((v, i) => {
        if (!v) return;
        const from = s.stack ? floor[i] : 0;
        const r = svg('rect', { class: `fill ${s.style ?? ''}`, x: x(i) - step * 0.38, width: Math.max(1, step * 0.76), y: y(from + v), height: Math.max(0.5, y(from) - y(from + v)) });
        if (s.stack) floor[i] += v;
        r.append(svg('title', {}, `${keys[i]}, ${s.name}: ${format(v)}`));
        picture.append(r);
      });
    }
    const table = el('table', {}, el('thead', {}, el('tr', {}, el('th', { scope: 'col', textContent: 'Time' }), ...series.map((s) => el('th', { scope: 'col', textContent: s.name })))),
                     el('tbody', {}, ...keys.map((key, i) => el('tr', {}, el('td', { textContent: key }), ...series.map((s) => el('td', { textContent: s.text ? s.text[i] : format(s.values[i]) })))).reverse()));
    const legend = series.length > 1 ? [el('p', { className: 'legend' }, ...series.map((s) => el('span', {}, el('i', { className: s.stack ? s.style : s.kind === 'bar' && s.style ? 'e' : s.style ?? '' }), s.name)))] : [];
    return el('section', {}, el('h3', { textContent: title }), picture, ...legend,
              el('details', {}, el('summary', { textContent: 'Table' }), el('div', { className: 'scroll' }, table)));
  };

  const opened = () => new Set([...document.querySelectorAll('#charts section')].filter((s) => s.querySelector('details').open).map((s) => s.querySelector('h3').textContent));
  const cost = (line, currency) => Number(line.costs.find((c) => c.currency === currency)?.amount ?? 0);
  const showHistory = (h) => {
    const keys = h.times.map((t) => t.key.slice(0, h.range === 'month' ? 10 : 16).replace('T', ' ')), open = opened(), pick = (f) => h.times.map(f);
    const currency = h.total.costs[0]?.currency ?? '', spent = (v) => `${v >= 100 ? v.toFixed(0) : v >= 1 ? v.toFixed(2) : v ? v.toPrecision(2) : 0}`;
    const charts = [
      chart('Requests', keys, h.range, [{ name: 'all', kind: 'bar', values: pick((t) => t.requests) }, { name: 'failed', kind: 'bar', style: 'b', values: pick((t) => t.errors + t.interrupted) }], count),
      chart('Tokens', keys, h.range, [{ name: 'input', kind: 'bar', values: pick((t) => t.input) }, { name: 'output', kind: 'line', style: 'b', values: pick((t) => t.output) }], count),
      chart(`Cost${currency ? `, ${currency}` : ''}`, keys, h.range, [{ name: 'cost', kind: 'bar', values: pick((t) => cost(t, currency)), text: pick((t) => money(t.costs)) }], spent),
      chart('First token', keys, h.range, [{ name: 'p50', kind: 'line', values: pick((t) => t.first_token_ms.p50) }, { name: 'p95', kind: 'line', style: 'b', values: pick((t) => t.first_token_ms.p95) }], ms),
      chart('Whole answer', keys, h.range, [{ name: 'p50', kind: 'line', values: pick((t) => t.total_ms.p50) }, { name: 'p95', kind: 'line', style: 'b', values: pick((t) => t.total_ms.p95) }], ms),
      chart('Input from prompt caches', keys, h.range, [{ name: 'share', kind: 'bar', values: pick((t) => t.input ? 100 * t.cached / t.input : 0) }], (v) => `${v.toFixed(v < 10 && v ? 1 : 0)} %`),
    ];
    /* The same by name, one upon another; the names are those with the most cost. */
    const names = (h.cells ?? []).slice(0, 6), by = $('#by').selectedOptions[0].textContent.toLowerCase();
    const stack = (values) => names.map((c, n) => ({ name: c.key || '–', kind: 'bar', stack: true, style: `s${n}`, values: values(c) }));
    charts.splice(1, 0, chart(`Requests by ${by}`, keys, h.range, stack((c) => c.requests), count));
    charts.splice(4, 0, chart(`Cost by ${by}${currency ? `, ${currency}` : ''}`, keys, h.range, stack((c) => c.cost.map(Number)), spent));
    for (const c of charts) c.querySelector('details').open = open.has(c.querySelector('h3').textContent);
    $('#charts').replaceChildren(...charts);
    const most = Math.max(1, ...h.groups.map((g) => g.requests));
    $('#by-bars').replaceChildren(...h.groups.slice(0, 12).map((g) => bar(g.key || '–', `${count(g.requests)} requests, ${money(g.costs)}`, g.requests, most)));
    for (const m of document.querySelectorAll('#by-bars meter')) { m.low = 0; m.high = m.max; m.optimum = m.max; }
    const columns = [['Requests', (l) => l.requests], ['Failed', (l) => share(l.errors + l.interrupted, l.requests)], ['Input', (l) => l.input], ['Cached', (l) => share(l.cached, l.input)], ['Output', (l) => l.output],
                     ['First token p50', (l) => ms(l.first_token_ms.p50)], ['Whole p95', (l) => ms(l.total_ms.p95)], ['Cost', (l) => money(l.costs)], ['Saved', (l) => l.costs.map((c) => `${c.saved} ${c.currency}`).join(' + ') || '0']];
    const row = (name, line) => el('tr', {}, el('td', { textContent: name }), ...columns.map(([, f]) => el('td', { textContent: f(line) })));
    $('#by-table').replaceChildren(el('thead', {}, el('tr', {}, el('th', { scope: 'col', textContent: $('#by').selectedOptions[0].textContent }), ...columns.map(([name]) => el('th', { scope: 'col', textContent: name })))),
                                   el('tbody', {}, ...h.groups.map((g) => row(g.key || '–', g)), row('All', h.total)));
  };

  /* ---- live ---- */
  const query = (by) => `range=${$('#range').value}&by=${by}`;
  const now = () => trying(async () => showNow(await get('status.json')));
  const history = () => trying(async () => {
    $('#csv-time').href = `status/history.csv?${query('time')}`;
    $('#csv-by').href = `status/history.csv?${query($('#by').value)}`;
    showHistory(await get(`status/history.json?${query($('#by').value)}`));
  });
  const repeat = (what, every) => {
    const again = async () => {
      if (!document.hidden) await what();
      setTimeout(again, every);
    };
    again();
    document.addEventListener('visibilitychange', () => { if (!document.hidden) what(); });
  };
  for (const id of ['#range', '#by']) $(id).addEventListener('change', history);
  repeat(now, NOW_MS);
  repeat(history, HISTORY_MS);
})();
