'use strict';
/* The page to try models: plain forms made live. What models say becomes text nodes, never markup. */
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add('js');
  const sections = ['chat', 'vision', 'embed'].map((id) => document.getElementById(id));
  const base = new URL('.', location.href);
  let current = sections[0];

  $('#key-form').addEventListener('submit', (e) => e.preventDefault());

  /* ---- tabs: arrow keys move, as the pattern of WAI-ARIA has it ---- */
  const tabs = (list, chosen) => {
    const all = $$('[role=tab]', list);
    const choose = (tab, focus) => {
      for (const t of all) {
        t.setAttribute('aria-selected', String(t === tab));
        t.tabIndex = t === tab ? 0 : -1;
      }
      if (focus) tab.focus();
      chosen(tab);
    };
    for (const tab of all) tab.addEventListener('click', () => choose(tab));
    list.addEventListener('keydown', (e) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key], at = all.indexOf(document.activeElement);
      const to = e.key === 'Home' ? 0 : e.key === 'End' ? all.length - 1 : step ? (at + step + all.length) % all.length : -1;
      if (to < 0 || at < 0) return;
      e.preventDefault();
      choose(all[to], true);
    });
    choose(all[0]);
  };

  /* ---- requests ---- */
  const headers = (accept) => {
    const h = { accept }, key = $('#key').value.trim();
    if (key) h.authorization = `Bearer ${key}`;
    return h;
  };

  const money = (cost) => cost ? `${cost.amount} ${cost.currency}` : 'not known';
  const showFacts = (list, answer, more) => {
    const u = answer.usage ?? {};
    const facts = [['Provider', answer.provider], ['Version', answer.version], ['Served by', answer.served_model],
                   ['Tokens', `${u.input ?? 0} in${u.cached ? ` (${u.cached} cached)` : ''}, ${u.output ?? 0} out${u.reasoning ? ` (${u.reasoning} reasoning)` : ''}`],
                   ['Cost', money(answer.cost)], ...more];
    list.replaceChildren(...facts.filter(([, value]) => value !== undefined && value !== null).map(([name, value]) => {
      const div = document.createElement('div'), dt = document.createElement('dt'), dd = document.createElement('dd');
      dt.textContent = name;
      dd.textContent = value;
      div.append(dt, dd);
      return div;
    }));
    list.hidden = false;
  };

  const failure = async (response) => {
    const text = await response.text();
    try {
      return JSON.parse(text).error.message;
    } catch {
      return `${response.status} ${response.statusText}`;
    }
  };

  /* Events of a stream (HTML, "Server-sent events"): calls on(event, data) for each. */
  const readEvents = async (response, on) => {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      let end;
      while ((end = rest.indexOf('\n\n')) >= 0) {
        const lines = rest.slice(0, end).split('\n');
        rest = rest.slice(end + 2);
        const field = (name) => lines.filter((l) => l.startsWith(`${name}:`)).map((l) => l.slice(name.length + 1).trimStart()).join('\n');
        if (field('data')) on(field('event'), JSON.parse(field('data')));
      }
    }
  };

  const say = (section, who, text) => {
    const talk = $('.talk', section), li = document.createElement('li');
    li.className = who;
    li.textContent = text;
    talk.append(li);
    talk.hidden = false;
    return li;
  };

  const conversation = [];
  const ask = async (section, options, done) => {
    const send = $('.main', section), stop = $('.stop', section), facts = $('.facts', section);
    const abort = new AbortController(), began = performance.now();
    const li = say(section, 'assistant', '…');
    let first = 0, text = '', answer;
    send.disabled = true;
    stop.disabled = false;
    stop.onclick = () => abort.abort();
    facts.hidden = true;
    const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
    try {
      const response = await fetch(new URL(section.dataset.path, base), { method: 'POST', signal: abort.signal, ...options });
      if (!response.ok) throw new Error(await failure(response));
      await readEvents(response, (event, data) => {
        if (event === 'text') {
          first ||= performance.now() - began;
          text += data.text;
          li.textContent = text;
        } else if (event === 'error') {
          throw new Error(data.error.message);
        } else if (event === 'done') {
          answer = data;
        }
      });
      if (!answer) throw new Error('The answer broke off.');
      li.textContent = answer.text;
      showFacts(facts, answer, [['First token', first ? seconds(first) : undefined], ['In all', seconds(performance.now() - began)]]);
      done?.(answer.text);
    } catch (e) {
      if (!text) li.remove();
      say(section, 'error', e.name === 'AbortError' ? 'Stopped.' : e.message);
      done?.(null);
    } finally {
      send.disabled = false;
      stop.disabled = true;
    }
  };

  const chatBody = (messages) => {
    const f = $('#chat form'), body = { model: f.model.value, messages: [...messages] };
    if (f.system.value.trim()) body.messages.unshift({ role: 'system', content: f.system.value });
    if (f.max_tokens.value) body.max_tokens = Number(f.max_tokens.value);
    return body;
  };

  $('#chat form').addEventListener('submit', (e) => {
    e.preventDefault();
    const f = e.target, prompt = f.prompt.value;
    if ($('.main', f).disabled) return;
    conversation.push({ role: 'user', content: prompt });
    say(sections[0], 'user', prompt);
    f.prompt.value = '';
    const body = JSON.stringify({ ...chatBody(conversation), stream: true });
    ask(sections[0], { headers: { ...headers('text/event-stream'), 'content-type': 'application/json' }, body }, (text) => {
      if (text === null) conversation.pop();
      else conversation.push({ role: 'assistant', content: text });
      f.prompt.focus();
    });
  });
  $('#chat-prompt').addEventListener('keydown', (e) => {
    if (e.key !== 'Enter' || e.shiftKey || e.isComposing) return;
    e.preventDefault();
    e.target.form.requestSubmit();
  });
  $('.again').addEventListener('click', () => {
    conversation.length = 0;
    $('#chat .talk').replaceChildren();
    $('#chat .talk').hidden = $('#chat .facts').hidden = true;
    $('#chat-prompt').focus();
  });

  /* ---- vision ---- */
  const picture = $('.drop img'), file = $('#vision-image'), drop = $('.drop');
  const preview = () => {
    if (picture.src) URL.revokeObjectURL(picture.src);
    picture.hidden = !file.files.length;
    if (!file.files.length) return;
    picture.src = URL.createObjectURL(file.files[0]);
    picture.alt = file.files[0].name;
  };
  file.addEventListener('change', preview);
  for (const type of ['dragover', 'dragleave', 'drop'])
    drop.addEventListener(type, (e) => {
      e.preventDefault();
      drop.classList.toggle('over', type === 'dragover');
      if (type !== 'drop' || !e.dataTransfer.files.length) return;
      file.files = e.dataTransfer.files;
      preview();
      showCode();
    });
  $('#vision form').addEventListener('submit', (e) => {
    e.preventDefault();
    if ($('.main', e.target).disabled) return;
    const body = new FormData(e.target);
    body.append('stream', 'true');
    $('#vision .talk').replaceChildren();
    ask(sections[1], { headers: headers('text/event-stream'), body });
  });

  /* ---- embed ---- */
  const texts = () => $$('#embed [name=input]').map((i) => i.value).filter(Boolean);
  const cosine = (a, b) => {
    let ab = 0, aa = 0, bb = 0;
    for (let i = 0; i < a.length; i++) { ab += a[i] * b[i]; aa += a[i] * a[i]; bb += b[i] * b[i]; }
    return aa && bb ? ab / Math.sqrt(aa * bb) : 0;
  };
  const showMatrix = (names, vectors) => {
    const table = $('.matrix'), head = document.createElement('tr'), body = document.createElement('tbody'), top = document.createElement('thead');
    const th = (text, scope) => { const c = document.createElement('th'); c.scope = scope; c.textContent = text; c.title = text; return c; };
    head.append(document.createElement('td'), ...names.map((n) => th(n, 'col')));
    top.append(head);
    for (const [i, name] of names.entries()) {
      const row = document.createElement('tr');
      row.append(th(name, 'row'), ...vectors.map((v) => {
        const td = document.createElement('td'), near = cosine(vectors[i], v);
        td.textContent = near.toFixed(3);
        td.style.setProperty('--near', Math.max(0, near).toFixed(3));
        return td;
      }));
      body.append(row);
    }
    table.replaceChildren($('caption', table), top, body);
    table.parentElement.hidden = false;
  };
  $('#embed form').addEventListener('submit', async (e) => {
    e.preventDefault();
    const f = e.target, names = texts(), error = $('#embed .error'), button = $('.main', f), began = performance.now();
    button.disabled = true;
    error.hidden = true;
    try {
      const response = await fetch(new URL('embed', base), { method: 'POST', headers: { ...headers('application/json'), 'content-type': 'application/json' }, body: JSON.stringify({ model: f.model.value, input: names }) });
      if (!response.ok) throw new Error(await failure(response));
      const answer = await response.json();
      showMatrix(names, answer.embeddings);
      showFacts($('#embed .facts'), answer, [['Numbers each', answer.embeddings[0].length], ['In all', `${((performance.now() - began) / 1000).toFixed(2)} s`]]);
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
  $('.more').addEventListener('click', () => {
    const n = $$('#embed [name=input]').length + 1, div = document.createElement('div'), label = document.createElement('label'), input = document.createElement('input');
    label.htmlFor = input.id = `embed-${n}`;
    label.textContent = `Text ${n}`;
    input.name = 'input';
    div.append(label, input);
    $('.inputs').append(div);
    input.focus();
  });

  /* ---- the same request in code ---- */
  const shell = (s) => `'${s.replaceAll("'", "'\\''")}'`;
  const python = (s) => JSON.stringify(s);
  const markup = (s) => s.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  let language = 'curl';
  const fieldsOf = () => {
    const f = $('form', current);
    if (current.id === 'embed') return [['model', f.model.value], ...texts().map((t) => ['input', t])];
    const list = [['model', f.model.value]];
    if (f.system?.value.trim()) list.push(['system', f.system.value]);
    if (f.max_tokens?.value) list.push(['max_tokens', f.max_tokens.value]);
    list.push(['prompt', f.prompt.value || 'Hello']);
    return list;
  };
  const code = {
    curl: (url, fields, image) => [`curl ${shell(url)}`, '-H "Authorization: Bearer $TOLLGATE_KEY"',
                                   ...fields.map(([n, v]) => `${image ? '-F' : '--data-urlencode'} ${shell(`${n}=${v}`)}`), ...(image ? [`-F ${shell(`image=@${image}`)}`] : [])].join(' \\\n  '),
    python: (url, fields, image) => [
      'import os, requests', '', `answer = requests.post(${python(url)},`, '    headers={"Authorization": "Bearer " + os.environ["TOLLGATE_KEY"]},',
      `    data=[${fields.map(([n, v]) => `(${python(n)}, ${python(v)})`).join(', ')}],`, ...(image ? [`    files={"image": open(${python(image)}, "rb")},`] : []),
      ')', 'answer.raise_for_status()', `print(answer.json()[${current.id === 'embed' ? '"embeddings"' : '"text"'}])`].join('\n'),
    html: (url, fields, image) => [`<form action="${markup(url)}" method="post"${image ? ' enctype="multipart/form-data"' : ''}>`,
                                   ...fields.map(([n, v]) => n === 'prompt' ? `  <textarea name="prompt">${markup(v)}</textarea>` : `  <input name="${n}" value="${markup(v)}">`),
                                   ...(image ? ['  <input name="image" type="file">'] : []), '  <button>Send</button>', '</form>'].join('\n'),
  };
  const showCode = () => {
    const image = current.id === 'vision' ? file.files[0]?.name ?? 'photo.jpg' : null;
    $('#code-text').textContent = code[language](new URL(current.dataset.path, base).href, fieldsOf(), image);
  };
  document.addEventListener('input', showCode);
  document.addEventListener('change', showCode);
  $('.copy').addEventListener('click', async () => {
    const note = $('#code [role=status]');
    try {
      await navigator.clipboard.writeText($('#code-text').textContent);
      note.textContent = 'Copied.';
    } catch {
      const range = document.createRange();
      range.selectNodeContents($('#code-text'));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      note.textContent = 'Selected: copy it with the keyboard.';
    }
  });

  tabs($('#code .tabs'), (tab) => { language = tab.dataset.lang; showCode(); });
  tabs($('main > .tabs'), (tab) => {
    current = document.getElementById(tab.getAttribute('aria-controls'));
    for (const s of sections) s.hidden = s !== current;
    showCode();
  });
})();
